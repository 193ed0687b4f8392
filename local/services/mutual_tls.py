"""Mutual TLS among the processes of SeaweedFS: one certificate, whose key only this stack can read."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from homeprices.files import write_atomic
from local.ports import LOOPBACK
from local.stack import ROOT

CERTIFICATE, KEY, CONFIGURATION = "tls.pem", "tls.key", "security.toml"
SETTINGS = ROOT / "compose" / CONFIGURATION
"""The same for the stack in Docker, whose entry point makes its own certificate (compose/seaweedfs.sh)."""
ALWAYS = datetime(2020, 1, 1)
NEVER = datetime(9999, 12, 31, 23, 59, 59)
"""The expiry of a certificate that has none (RFC 5280)."""


def prepare(home: Path) -> None:
    """Write certificate, key and SeaweedFS's security settings into `home`, once."""
    if not (home / KEY).exists():  # written last
        certificate, key = _self_signed()
        write_atomic(home / CERTIFICATE, certificate, private=True)
        write_atomic(home / KEY, key, private=True)
    write_atomic(home / CONFIGURATION, SETTINGS.read_text(), private=True)


def client_context(home: Path) -> ssl.SSLContext:
    """Return the TLS context of a client that has the stack's certificate. Raises OSError without the files."""
    context = ssl.create_default_context(cafile=home / CERTIFICATE)
    context.load_cert_chain(home / CERTIFICATE, home / KEY)
    return context


def _self_signed() -> tuple[str, str]:
    """Return a certificate that is its own authority, and its key, as PEM. Only processes of the stack have the key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "seaweedfs")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ALWAYS)
        .not_valid_after(NEVER)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), secret.decode()
