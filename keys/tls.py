"""Who is at the other end of a TLS connection: a self-signed certificate, pinned by its hash.

No authority signs for anybody here. A party's certificate is an Ed25519 key of its own (RFC 8410) with its domain's
name on it, and its identity is the SHA-256 of the certificate's DER, which the party's root key signs
(`plans.joint.Party`). A context trusts exactly one certificate, the pinned one, at both ends; TLS 1.3 (RFC 8446) then
proves that the peer holds its key (section 4.4.3). There is nothing to resume: no tickets are given, so that no
connection ever begins without that proof.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from plans import names
from plans.errors import LinkBroken, SettingsWrong

LARGEST_CERTIFICATE = 2048
"""Bytes of a certificate in DER; ours have some 330."""

_FIRST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_LAST = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)
"""No well-defined end (RFC 5280 section 4.1.2.5): a certificate is good as long as it is pinned."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are on TLS connections: the file with key and certificate (PEM), and the certificate in DER."""

    file: Path
    certificate: bytes

    @property
    def fingerprint(self) -> str:
        """What others pin."""
        return fingerprint(self.certificate)


def fingerprint(certificate: bytes) -> str:
    """Return the SHA-256 of a certificate's DER, as digests are written."""
    return "sha256:" + hashlib.sha256(certificate).hexdigest()


def make_identity(file: Path, domain: str) -> Identity:
    """Make a key and its certificate, and keep both in a new file that nobody else may read.

    Raises:
        Malformed: the domain has no well-formed name.
        SettingsWrong: the file is there already, or cannot be made.
    """
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, names.require("domain", domain)[:64])])
    draft = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    draft = draft.serial_number(x509.random_serial_number()).not_valid_before(_FIRST).not_valid_after(_LAST)
    certificate = draft.add_extension(x509.BasicConstraints(True, 0), critical=True).sign(key, None)
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as problem:
        raise SettingsWrong(
            f"the key for TLS cannot be made here ({problem.strerror})", str(file), "Name a new file."
        ) from None
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(secret + certificate.public_bytes(pem))
    return Identity(file, certificate.public_bytes(serialization.Encoding.DER))


def load_identity(file: Path) -> Identity:
    """Return the identity that a file holds.

    Raises:
        SettingsWrong: it is missing, no key with its certificate, or others may read it.
    """
    try:
        if stat.S_IMODE(os.stat(file).st_mode) & 0o077:
            raise SettingsWrong("others may read the key for TLS", str(file), "Set its mode to 0600.")
        content = file.read_bytes()
        identity = Identity(file, ssl.PEM_cert_to_DER_cert(_certificate_in(content)))
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file)
    except (OSError, ValueError):
        raise SettingsWrong("the file holds no key for TLS with its certificate", str(file)) from None
    return identity


def context(identity: Identity, peer: bytes, *, server: bool) -> ssl.SSLContext:
    """Return what one connection is made with: as ourselves, to the holder of exactly this certificate (DER).

    Raises:
        LinkBroken: the peer's bytes are no certificate.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    made.check_hostname = (
        False  # the name on a certificate is worth nothing; the certificate itself is pinned
    )
    made.verify_mode = ssl.CERT_REQUIRED
    if server:
        made.num_tickets = 0
    made.load_cert_chain(identity.file)
    try:
        made.load_verify_locations(cadata=peer)
    except (ssl.SSLError, ValueError):
        raise LinkBroken("what the other side shows is no certificate", "certificate") from None
    return made


def _certificate_in(pem: bytes) -> str:
    begin = pem.index(b"-----BEGIN CERTIFICATE-----")
    return pem[begin:].decode("ascii")
