"""nginx with the configuration of `examples/production/nginx.conf`: other names, ports and folders, nothing else."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CONFIGURATION = Path(__file__).resolve().parents[2] / "examples" / "production" / "nginx.conf"
PORTAL, LABS = "darkroom.example.test", "labs.example.test"
PATIENCE_S = 90
_WHOLE = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {more}
    include {folder}/darkroom.conf;
}}
"""


@dataclass(frozen=True)
class Door:
    """Where nginx listens, with TLS and without, and the certificate of both names."""

    tls: int
    plain: int
    certificate: Path

    @property
    def portal(self) -> str:
        """The portal's public origin."""
        return f"https://{PORTAL}:{self.tls}"

    @property
    def labs(self) -> str:
        """The Hub's."""
        return f"https://{LABS}:{self.tls}"


def door(folder: Path) -> Door:
    """Choose ports, and make certificates, before anything runs."""
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        tls, plain = one.getsockname()[1], other.getsockname()[1]
    certificate = folder / "darkroom.example.test.pem"
    write_certificate(certificate, (PORTAL, LABS, f"*.{LABS}"))
    for end in ("pem", "key"):
        shutil.copy(certificate.with_suffix(f".{end}"), folder / f"labs.example.test.{end}")
    return Door(tls, plain, certificate)


@contextmanager
def nginx(folder: Path, at: Door, portal_port: int, labs_port: int, more: str = "gzip on;") -> Iterator[None]:
    """Run nginx before a portal and a proxy of labs on these ports of loopback. `more` is what stands above the
    configuration: `gzip on` does in Debian.
    """
    text = configuration(folder, at, portal_port, labs_port)
    (folder / "darkroom.conf").write_text(text)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_WHOLE.format(folder=folder, user=user, more=more))
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    command = [program, "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        _wait(at, process, folder / "error.log")
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def configuration(folder: Path, at: Door, portal_port: int, labs_port: int) -> str:
    """Return the configuration with the names, ports and folders of a test, and without IPv6."""
    text = CONFIGURATION.read_text()
    lines = [line for line in text.splitlines() if "listen [::]" not in line]
    text = "\n".join(lines) + "\n"
    for was, now in (
        (".example.org", ".example.test"),
        ("listen 443 ", f"listen 127.0.0.1:{at.tls} "),
        ("listen 80", f"listen 127.0.0.1:{at.plain}"),
        ("/etc/ssl/darkroom/", f"{folder}/"),
        ("/var/log/nginx/", f"{folder}/"),
        ("http://127.0.0.1:8470;", f"http://127.0.0.1:{portal_port};"),
        ("http://127.0.0.1:8471;", f"http://127.0.0.1:{labs_port};"),
    ):
        assert was in text, was
        text = text.replace(was, now)
    return text


def write_certificate(file: Path, names: tuple[str, ...]) -> None:
    """Write a certificate for names, signed by itself, and its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(alternatives, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    file.with_suffix(".key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def _wait(at: Door, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", at.tls), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise AssertionError(
                    f"nginx does not run: {log.read_text() if log.exists() else ''}"
                ) from None
            time.sleep(0.02)
