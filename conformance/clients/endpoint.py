"""An S3 endpoint to test against: one that the caller names, or a store of our own on a free port."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

READY_SECONDS = 90
ACCESS_KEY = "CONFORMANCEKEY"
SECRET_KEY = "conformance-secret-of-one-test-run"
PROGRAM = Path(sys.executable).with_name("cyxcloud")


@dataclass(frozen=True, slots=True)
class Endpoint:
    url: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"
    ca: Path | None = None

    def environment(self) -> dict[str, str]:
        """A clean one: nothing of the user's own AWS settings or proxies reaches a client under test."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        made = {
            "LC_ALL": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        if self.ca is not None:
            made |= {"AWS_CA_BUNDLE": str(self.ca), "SSL_CERT_FILE": str(self.ca)}
        return kept | made

    @property
    def host(self) -> str:
        return self.url.partition("://")[2].rstrip("/")

    @property
    def tls(self) -> bool:
        return self.url.startswith("https:")


@dataclass(frozen=True, slots=True)
class OwnStore:
    """A store that runs: its endpoint, its data folder and its supervisor."""

    endpoint: Endpoint
    data: Path
    pid: int


@contextmanager
def own_store(folder: Path, *, tls: bool = False, options: tuple[str, ...] = ()) -> Iterator[OwnStore]:
    """`cyxcloud up` on a new data folder, as a user would start it, ended by Ctrl-C's signal."""
    data = folder / "data"
    command = [str(PROGRAM), "up", "--data", str(data), "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", *options]
    ca: Path | None = None
    if tls:
        ca, cert, key = make_certificates(folder / "tls")
        command += ["--tls-cert", str(cert), "--tls-key", str(key)]
    environment = os.environ | {"CYXCLOUD_ROOT_ACCESS_KEY": ACCESS_KEY, "CYXCLOUD_ROOT_SECRET_KEY": SECRET_KEY}
    log = folder / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        url = _until_ready(data, process, log)
        yield OwnStore(Endpoint(url, ACCESS_KEY, SECRET_KEY, ca=ca), data, process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert code == 0, f"up ended with {code}:\n{log.read_text()}"


def status(data: Path) -> dict[str, object]:
    """What `cyxcloud status --json` says."""
    answer = subprocess.run([str(PROGRAM), "status", "--json", "--data", str(data)], capture_output=True, check=True)
    found: dict[str, object] = json.loads(answer.stdout)
    return found


def _until_ready(data: Path, process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if "Ready." in log.read_text():
            roles = status(data)["roles"]
            assert isinstance(roles, list)
            return str(next(role["endpoint"] for role in roles if role["role"] == "gateway"))
        time.sleep(0.1)
    raise AssertionError(f"the store is not ready:\n{log.read_text()}")


def make_certificates(folder: Path) -> tuple[Path, Path, Path]:
    """A CA, and a certificate of it for this machine with its key, in PEM."""
    folder.mkdir(parents=True)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CyxCloud conformance CA")])
    now = dt.datetime.now(dt.UTC)
    ca = (
        _certificate(ca_name, ca_key, now)
        .issuer_name(ca_name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    cert = (
        _certificate(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), key, now)
        .issuer_name(ca_name)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(names, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    paths = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    paths[2].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def _certificate(name: x509.Name, key: ec.EllipticCurvePrivateKey, now: dt.datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign,
        crl_sign=sign,
        encipher_only=False,
        decipher_only=False,
    )
