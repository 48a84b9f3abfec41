"""Signature Version 2, verified: pure code beside `sigv4`, for clients that know nothing newer."""

from s3gw.sigv2.forms import FormSignature, parse_form
from s3gw.sigv2.verify import ClaimV2, VerifiedV2, check, claim_header, claim_query

__all__ = ["ClaimV2", "FormSignature", "VerifiedV2", "check", "claim_header", "claim_query", "parse_form"]
