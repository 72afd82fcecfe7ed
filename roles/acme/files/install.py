# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Install a new server certificate and reload nginx.

Runs as root after renew.py, without a connection to other hosts. nginx reads the certificate from the credential store.
The program replaces it as a whole. If nginx refuses the new certificate, the program puts the old one back. After a
crash the next run completes the installation. It needs only Python.
"""

from __future__ import annotations

import argparse
import os
import ssl
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

LARGEST = 64 * 1024


class InstallError(Exception):
    """The certificate was not installed."""


def read(path: Path) -> bytes:
    """Read the file of renew.py, which an unprivileged user wrote: not through a link."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise InstallError(f"{path} is larger than {LARGEST} bytes")
    return content


def write(path: Path, content: bytes) -> None:
    """Replace a file of the credential store, after a check that key and certificate belong together."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(temporary)
    except (ssl.SSLError, OSError) as error:
        temporary.unlink()
        raise InstallError(f"the new key and certificate cannot be used: {error}") from error
    temporary.replace(path)


def seen(path: Path, loaded: Path) -> bool:
    """Return whether nginx has loaded the certificate. The unit of nginx touches `loaded` at each start and reload."""
    return loaded.exists() and path.stat().st_mtime_ns <= loaded.stat().st_mtime_ns


def run(*command: str) -> None:
    """Run a command. Raises InstallError with its output."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise InstallError(f"{' '.join(command)} failed: {' '.join(done.stdout.split())}")


def install(source: Path, target: Path, loaded: Path) -> bool:
    """Install the certificate; return whether nginx was reloaded."""
    content, old = read(source), target.read_bytes() if target.exists() else None
    if content != old:
        write(target, content)
    elif seen(target, loaded):
        return False
    try:
        run("nginx", "-t", "-q")
    except InstallError:
        if old is not None and content != old:
            write(target, old)
        raise
    run("systemctl", "try-reload-or-restart", "nginx.service")
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; return its exit code."""
    parser = argparse.ArgumentParser(description="Install a new server certificate")
    parser.add_argument("--source", type=Path, default=Path("/run/mlflow-acme/certificate.pem"))
    parser.add_argument("--target", type=Path, default=Path("/run/credstore/nginx.certificate"))
    parser.add_argument("--loaded", type=Path, default=Path("/run/nginx-loaded"))
    options = parser.parse_args(arguments)
    try:
        reloaded = install(options.source, options.target, options.loaded)
    except (InstallError, OSError) as error:
        print(
            f"Cannot install the new certificate: {error}. nginx keeps the certificate that it has loaded. Read the"
            " error log of nginx, then run: systemctl start mlflow-acme.service",
            file=sys.stderr,
        )
        return 1
    print("nginx has loaded the new certificate." if reloaded else "nginx serves this certificate already.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
