"""An authority of the test's own and the certificates it signs, made by openssl in a second."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files: the certificate, its private key, and both in one file, as Kafka's key stores want them."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """Signs certificates for as long as its folder lives."""

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.file = folder / "ca.pem"
        self._key = folder / "ca.key"
        _openssl(
            "req", "-x509", *_NEW_KEY, "-days", "2", "-subj", f"/CN={name}", "-keyout", self._key, "-out", self.file
        )  # fmt: skip

    def sign(self, name: str, alternative: str = "IP:127.0.0.1,DNS:localhost", days: int = 2) -> Certificate:
        """Return a certificate of common name ``name``; negative ``days`` make one that has expired."""
        key, request = self._folder / f"{name}.key", self._folder / f"{name}.csr"
        extensions, signed = self._folder / f"{name}.ext", self._folder / f"{name}.pem"
        extensions.write_text(f"subjectAltName={alternative}\n")
        _openssl("req", *_NEW_KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self._key, "-CAcreateserial",
            "-days", str(days), "-extfile", extensions, "-out", signed,
        )  # fmt: skip
        both = self._folder / f"{name}.both.pem"
        both.write_bytes(key.read_bytes() + signed.read_bytes())
        return Certificate(signed, key, both)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
