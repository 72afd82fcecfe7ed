# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Print the options with which Chromium reaches accounts.google.com of the local cloud, and given servers.

Other programs on this host still reach Google. The options name the public keys of the servers, because Chromium has
no option for a CA. A restart of the local cloud changes its key.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import shlex
import socket
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from localcloud.commands import _home
from localcloud.engine.base import EngineError

GOOGLE = "accounts.google.com"


@dataclass(frozen=True)
class Site:
    """A server that Chromium should reach and trust. Without a CA file, Chromium must trust the server itself."""

    name: str
    address: str
    port: int
    ca: Path | None

    @property
    def rule(self) -> str:
        """Return the rule for --host-resolver-rules."""
        return f"MAP {self.name}:443 {self.address}:{self.port}"

    def key(self) -> str:
        """Return the hash of the server's public key, after the CA verified its certificate. Raises EngineError."""
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except OSError as error:
            raise EngineError(
                f"the CA file {self.ca} of {self.name} cannot be read ({error.strerror}). Start the local cloud, and "
                "run this command as root"
            ) from error
        try:
            with (
                socket.create_connection((self.address, self.port), timeout=10) as plain,
                context.wrap_socket(plain, server_hostname=self.name) as secure,
            ):
                certificate = secure.getpeercert(binary_form=True) or b""
        except OSError as error:
            raise EngineError(f"{self.name} at {self.address}:{self.port} cannot be reached: {error}") from error
        public = x509.load_der_x509_certificate(certificate).public_key()
        digest = hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
        return base64.b64encode(digest).decode()


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `browser`."""
    _home.add_arguments(parser)
    parser.add_argument("--site", action="append", default=[], metavar="NAME=ADDRESS", help="another https server")
    parser.add_argument("--ca", type=Path, help="the file of the CA of these servers (default: a public CA)")


def run(arguments: argparse.Namespace) -> int:
    """Print the options in one line, quoted for a shell."""
    # Imported late: `--help` needs no engine.
    from localcloud.engine.nft_network import PORTS

    home = _home.settings(arguments).home
    try:
        sites = [Site(GOOGLE, PORTS.host, PORTS.api, home / "ca" / "ca.crt")]
        sites += [_site(text, arguments.ca) for text in arguments.site]
        print(shlex.join(options(sites)))
    except EngineError as error:
        print(f"localcloud: {error}", file=sys.stderr)
        return 1
    return 0


def options(sites: list[Site]) -> list[str]:
    """Return options of Chromium. Raises EngineError if a server does not answer or has another CA."""
    keys = [site.key() for site in sites if site.ca is not None]
    return [
        f"--host-resolver-rules={', '.join(site.rule for site in sites)}",
        f"--ignore-certificate-errors-spki-list={','.join(keys)}",
    ]


def _site(text: str, ca: Path | None) -> Site:
    name, _, address = text.partition("=")
    if not name or not address:
        raise EngineError(f"--site {text} is not NAME=ADDRESS, such as mlflow.example.com=198.51.100.2")
    return Site(name, address, 443, ca)
