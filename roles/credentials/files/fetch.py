# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Fetch secrets from Google Secret Manager into the credential store of systemd.

The program uses the service account of the VM (metadata server). It replaces a file atomically, and only if the content
changed. It writes either all secrets or none. It prints one JSON object with the names of the changed credentials, and
never prints a value.
It needs only the Debian packages python3-google-auth and python3-requests.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import google.auth
import google.auth.exceptions
import google.auth.transport.requests
import requests

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
ENDPOINT = "https://secretmanager.googleapis.com"
REQUEST_TIMEOUT = 20.0
# 403 and 404 are transient, because new IAM bindings and new secrets need some time to take effect.
TRANSIENT = {403, 404, 408, 429, 500, 502, 503, 504}


class FetchError(Exception):
    """A secret cannot be read. `transient` is true if another attempt may succeed."""

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) of `data`, as Secret Manager returns it with a payload (RFC 3720, appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _bit in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def access(session: requests.Session, project: str, secret: str, version: str) -> bytes:
    """Return the payload of one secret version."""
    name = f"projects/{project}/secrets/{secret}/versions/{version}"
    try:
        response = session.get(f"{ENDPOINT}/v1/{name}:access", timeout=REQUEST_TIMEOUT)
    except (requests.RequestException, google.auth.exceptions.GoogleAuthError) as error:
        raise FetchError(f"{name}: {type(error).__name__}: {error}", transient=True) from error
    if response.status_code != 200:
        try:
            reason = response.json()["error"]["message"]
        except (ValueError, KeyError, TypeError):
            reason = response.reason
        raise FetchError(f"{name}: HTTP {response.status_code}: {reason}", transient=response.status_code in TRANSIENT)
    try:
        payload = response.json()["payload"]
        data = base64.b64decode(payload["data"], validate=True)
    except (ValueError, KeyError, TypeError) as error:
        raise FetchError(f"{name}: the response contains no payload", transient=True) from error
    if "dataCrc32c" in payload and int(payload["dataCrc32c"]) != crc32c(data):
        raise FetchError(f"{name}: the payload is damaged: its CRC-32C differs", transient=True)
    return data


def write_changed(directory: Path, values: dict[str, bytes], *, dry_run: bool = False) -> list[str]:
    """Write each value that differs from its file in `directory`; return the names of the changed files."""
    changed = []
    if not dry_run:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
    for name, value in sorted(values.items()):
        path = directory / name
        if path.exists() and path.read_bytes() == value:
            if not dry_run:
                path.chmod(0o600)
            continue
        changed.append(name)
        if dry_run:
            continue
        temporary = directory / f".{name}.new"
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(value)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    return changed


def fetch_all(
    session: requests.Session,
    project: str,
    items: Sequence[dict[str, str]],
    *,
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, bytes]:
    """Read every item. After a transient error try again with growing pauses, for `timeout` seconds in all."""
    deadline = clock() + timeout
    values = {}
    for item in items:
        pause = 1.0
        while True:
            try:
                values[item["name"]] = access(session, project, item["secret"], item.get("version", "latest"))
                break
            except FetchError as error:
                if not error.transient or clock() + pause > deadline:
                    raise
                print(f"{error}; trying again in {pause:.0f} s", file=sys.stderr, flush=True)
                sleep(pause)
                pause = min(pause * 2, 30.0)
    return values


def identity(timeout: float) -> tuple[requests.Session, str]:
    """Return a session with the credentials of this VM, and the project of the VM."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            credentials, project = google.auth.default(scopes=[SCOPE])
            return google.auth.transport.requests.AuthorizedSession(credentials), project or ""
        except google.auth.exceptions.DefaultCredentialsError as error:
            if time.monotonic() + 5 > deadline:
                raise FetchError(f"this VM has no service account: {error}", transient=True) from error
            time.sleep(5)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; return its exit code."""
    parser = argparse.ArgumentParser(description="Fetch secrets into the credential store")
    parser.add_argument("--config", type=Path, default=Path("/etc/mlflow-credentials.json"))
    parser.add_argument("--directory", type=Path, default=Path("/run/credstore"))
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds to keep trying")
    parser.add_argument("--dry-run", action="store_true", help="only print the names of changed secrets")
    options = parser.parse_args(arguments)
    config = json.loads(options.config.read_text(encoding="utf-8")) if options.config.exists() else {"items": []}
    try:
        values: dict[str, bytes] = {}
        if config["items"]:
            session, own_project = identity(options.timeout)
            values = fetch_all(session, config.get("project") or own_project, config["items"], timeout=options.timeout)
        changed = write_changed(options.directory, values, dry_run=options.dry_run)
    except FetchError as error:
        print(f"Cannot fetch the secrets: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"changed": changed}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
