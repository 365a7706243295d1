"""TLS files, looked at before any connection: a client tells of a bad one as of a server that is away."""

from __future__ import annotations

import ssl

from inspector.domain.errors import BadInputError


def check_tls_files(section: str, ca_file: str | None, cert_file: str | None, key_file: str | None) -> None:
    """Refuse files that cannot be used; ``section`` names their settings. PEM files, each may be left out.

    Raises:
        BadInputError: one cannot be read, is no certificate or key, or the two do not belong together.
    """
    files = [name for name in (ca_file, cert_file, key_file) if name is not None]
    if key_file is not None and cert_file is None:
        raise BadInputError(f"{section}.cert_file beside {section}.key_file", "the key alone", "set both or none")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if ca_file is not None:
            context.load_verify_locations(ca_file)
        if cert_file is not None:
            # A password of our own: without one, an encrypted key would ask the terminal for it.
            context.load_cert_chain(cert_file, key_file, password="")
    except OSError as error:
        raise BadInputError(
            f"readable TLS files: {', '.join(files)}", str(error), f"check {section}.* and the files"
        ) from error
