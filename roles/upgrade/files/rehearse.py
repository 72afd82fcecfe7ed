# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Migrate a copy of the databases on another instance with a release that is not deployed yet.

Runs as root on the VM, with Debian's Python. Creates the credentials for the copy in memory, and runs schema.py with
these credentials as the user of the server. Prints the output of schema.py.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

STORES = (Path("/etc/credstore"), Path("/run/credstore"))
NAME = "mlflow.database-uri"


def elsewhere(uri: str, address: str) -> str:
    """Return the URI with another address, and the same databases, user and password."""
    parts = urlsplit(uri)
    user, _at, _host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}@{address}"))


def main() -> int:
    """Run as a program; return its exit code."""
    parser = argparse.ArgumentParser(description="Rehearse a migration")
    parser.add_argument("--address", required=True, help="of the instance that has the copy")
    parser.add_argument("--authority", required=True, help="CA certificate of that instance, one line")
    parser.add_argument("--release", required=True, help="directory of the release")
    parser.add_argument("--auth-database", required=True)
    options = parser.parse_args()
    uri = next(store / NAME for store in STORES if (store / NAME).exists()).read_text(encoding="utf-8").strip()
    with tempfile.TemporaryDirectory(dir="/run", prefix="mlflow-rehearsal-") as scratch:
        files = {NAME: elsewhere(uri, options.address), "mlflow.database-ca": options.authority.replace("|", "\n")}
        command = ["systemd-run", "--wait", "--pipe", "--collect", "--quiet", "-p", "User=mlflow", "-p", "Group=mlflow"]
        command += ["-p", "PrivateTmp=yes", "-p", "ProtectSystem=strict", "-p", "NoNewPrivileges=yes"]
        for name, text in files.items():
            path = Path(scratch) / name
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as handle:
                handle.write(text + "\n")
            command += ["-p", f"LoadCredential={name}:{path}"]
        command += [f"{options.release}/bin/python", "-I", "/opt/mlflow/libexec/schema.py", "migrate"]
        return subprocess.run([*command, "--auth-database", options.auth_database], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
