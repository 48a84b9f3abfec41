"""Signature Version 4, verified: pure code that knows neither HTTP library nor store."""

from s3gw.sigv4.errors import SignatureError, SignatureFault
from s3gw.sigv4.payload import Payload, PayloadKind
from s3gw.sigv4.signing import ChunkChain
from s3gw.sigv4.verify import Anonymous, Claim, Verified, Verifier
from s3gw.sigv4.view import RequestView, fold_headers, header

__all__ = [
    "Anonymous",
    "ChunkChain",
    "Claim",
    "Payload",
    "PayloadKind",
    "RequestView",
    "SignatureError",
    "SignatureFault",
    "Verified",
    "Verifier",
    "fold_headers",
    "header",
]
