"""Certificates for a server on this machine, good and bad, made by the openssl command when they are needed.

In: a folder. Out: an authority to be trusted, and server certificates of it: good, expired, for another name; and one
that signed itself. None of them is good for anything but these tests. Writes files.
"""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

KEY_OPTIONS = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
HERE = "IP:127.0.0.1"
ELSEWHERE = "DNS:test.deribit.com.elsewhere.invalid"
SETTINGS = """[ca]
default_ca = made_up
[made_up]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
unique_subject = no
policy = names
copy_extensions = copy
[names]
commonName = supplied
"""


def openssl_is_here() -> bool:
    return shutil.which("openssl") is not None


@dataclass(frozen=True)
class Certificates:
    """Files in one folder. Make it with `make_certificates`."""

    folder: Path

    @property
    def authority(self) -> Path:
        """The certificate a client has to trust."""
        return self.folder / "authority.pem"

    def server_context(self, name: str) -> ssl.SSLContext:
        """For a server with one of the certificates: good, expired, misnamed, selfsigned."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context


def make_certificates(folder: Path) -> Certificates:
    """All of them; raises subprocess.CalledProcessError where openssl cannot."""
    folder.mkdir(parents=True)
    (folder / "settings.cnf").write_text(SETTINGS)
    (folder / "index.txt").touch()
    (folder / "serial").write_text("01\n")
    is_authority = ("-addext", "basicConstraints=critical,CA:TRUE")
    _openssl(folder, "req", "-x509", *KEY_OPTIONS, *_files("authority"), "-subj", "/CN=made-up", *is_authority)
    here = ("-addext", f"subjectAltName={HERE}")
    _openssl(folder, "req", "-x509", *KEY_OPTIONS, *_files("selfsigned"), "-subj", "/CN=alone", *here)
    today = datetime.now(UTC)
    _sign(folder, "good", HERE, today - timedelta(days=2), today + timedelta(days=2))
    _sign(folder, "expired", HERE, today - timedelta(days=9), today - timedelta(days=1))
    _sign(folder, "misnamed", ELSEWHERE, today - timedelta(days=2), today + timedelta(days=2))
    return Certificates(folder)


def _files(name: str) -> tuple[str, ...]:
    return "-keyout", f"{name}.key", "-out", f"{name}.pem"


def _sign(folder: Path, name: str, alternative_name: str, starts_at: datetime, ends_at: datetime) -> None:
    asked = ("-keyout", f"{name}.key", "-out", f"{name}.csr", "-addext", f"subjectAltName={alternative_name}")
    _openssl(folder, "req", *KEY_OPTIONS, *asked, "-subj", f"/CN={name}")
    signer = ("-config", "settings.cnf", "-batch", "-notext", "-keyfile", "authority.key", "-cert", "authority.pem")
    times = ("-startdate", f"{starts_at:%Y%m%d%H%M%SZ}", "-enddate", f"{ends_at:%Y%m%d%H%M%SZ}")
    _openssl(folder, "ca", *signer, *times, "-in", f"{name}.csr", "-out", f"{name}.pem")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
