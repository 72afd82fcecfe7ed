# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Order or renew the server certificate, if it is due, and store it in Secret Manager.

Runs on the VM without root, with the service account of the VM. The certificate is one secret: two lines that name its
origin, the key and the chain. The program writes the current certificate to RUNTIME_DIRECTORY, where install.py takes
it. It needs the program of the role credentials, which reads from Secret Manager.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dns_record
import fetch
import google.auth.exceptions
import requests
from cryptography import x509

ORIGIN = "Directory: {directory}\nProfile: {profile}\n"
BEGIN = "-----BEGIN CERTIFICATE-----"
REQUEST_SECONDS = 60.0
Publish = Callable[[Any], AbstractContextManager[None]]


class StoreError(Exception):
    """Secret Manager refused the ordered certificate. The next attempt stores it without a new order."""

    remedy = "Run site.yml, which grants the permission. The VM keeps the ordered certificate until it is stored"


def validity(pem: str) -> tuple[datetime, datetime]:
    """Return the begin and the end of the first certificate."""
    found = _first(pem)
    # cryptography before version 42 has no not_valid_after_utc.
    begin = getattr(found, "not_valid_before_utc", None) or found.not_valid_before.replace(tzinfo=UTC)
    end = getattr(found, "not_valid_after_utc", None) or found.not_valid_after.replace(tzinfo=UTC)
    return begin, end


def _first(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem[pem.index(BEGIN) :].encode())


def _names(pem: str) -> list[str]:
    names = _first(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [name.lower() for name in names.get_values_for_type(x509.DNSName)]


def due(pem: str, config: Mapping[str, Any], now: datetime) -> str:
    """Return the reason for an order, empty if the certificate is not due."""
    if BEGIN not in pem:
        return "there is no certificate"
    if not pem.startswith("Directory: "):
        return "the certificate is not from an ACME directory"
    if not pem.startswith(ORIGIN.format(**config)):
        return "the certificate is from another directory, or has another profile"
    # A certificate authority may add names, such as www.
    if config["hostname"].lower() not in _names(pem):
        return f"the certificate is for {', '.join(_names(pem))}"
    begin, end = validity(pem)
    if now >= begin + (end - begin) * 2 / 3:
        return f"two thirds of its lifetime are over, it ends at {_shown(end)}"
    return ""


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def read(session: requests.Session, config: Mapping[str, Any]) -> str:
    """Return the stored certificate, empty if the secret has no version."""
    try:
        return fetch.access(session, config["project"], config["secret"], "latest").decode()
    except fetch.FetchError as error:
        if "HTTP 404" in str(error):
            return ""
        raise


def store(
    session: requests.Session,
    config: Mapping[str, Any],
    pem: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Add a version to the secret. Try again after transient errors: the order cannot be repeated often."""
    url = f"{fetch.ENDPOINT}/v1/projects/{config['project']}/secrets/{config['secret']}:addVersion"
    data = pem.encode()
    payload = {"data": base64.b64encode(data).decode(), "dataCrc32c": str(fetch.crc32c(data))}
    deadline, pause = clock() + REQUEST_SECONDS * 5, 1.0
    while True:
        try:
            response = session.post(url, json={"payload": payload}, timeout=fetch.REQUEST_TIMEOUT)
            if response.status_code == 200:
                return
            cause, transient = (
                f"HTTP {response.status_code}: {_message(response)}",
                response.status_code in fetch.TRANSIENT,
            )
        except (requests.RequestException, google.auth.exceptions.GoogleAuthError) as error:
            cause, transient = f"{type(error).__name__}: {error}", True
        if not transient or clock() + pause > deadline:
            raise StoreError(f"secret {config['secret']}: {cause}")
        sleep(pause)
        pause = min(pause * 2, 30.0)


def _message(response: requests.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return str(response.reason)


@contextmanager
def published(directory: Path, token: str, content: str) -> Iterator[None]:
    """Show the proof of an HTTP-01 challenge to nginx."""
    path = directory / Path(token).name
    path.write_text(content, encoding="ascii")
    path.chmod(0o644)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def records(session: requests.Session) -> dns_record.Records:
    """Return the TXT records of this program."""
    return dns_record.Records(session, Path(os.environ["STATE_DIRECTORY"]) / "challenge.json")


def publisher(config: Mapping[str, Any], session: requests.Session, runtime: Path) -> Publish:
    """Return the function that shows a proof to the certificate authority."""
    if config["challenge"] == "dns-01":
        return lambda proof: records(session).published(dns_record.Value(**config["record"], text=proof.content))
    challenges = runtime / "challenges"
    challenges.mkdir(mode=0o755, exist_ok=True)
    return lambda proof: published(challenges, proof.token, proof.content)


def order(config: Mapping[str, Any], account: Mapping[str, str], publish: Publish) -> str:
    """Order a certificate; return its secret."""
    import issue  # only an order needs the ACME library

    wanted = issue.Order(
        hostname=config["hostname"],
        directory=config["directory"],
        terms_agreed=config["terms_agreed"],
        email=config["email"],
        profile=config["profile"],
        challenge=config["challenge"],
        ca_file=config["ca_file"],
    )
    # A binding of another directory is not valid.
    binding = ("eab_key_id", "eab_hmac_key") if account["directory"] == config["directory"] else ()
    given = issue.Account(key=account["key"], **{name: account[name] for name in binding})
    return ORIGIN.format(**config) + str(issue.issue(wanted, given, publish))


def ordered(config: Mapping[str, Any], session: requests.Session, pending: Path, runtime: Path) -> str:
    """Return the secret of a new certificate, or of a former order that was not stored."""
    former = pending.read_text(encoding="ascii") if pending.exists() else ""
    if not due(former, config, datetime.now(UTC)):
        return former
    account = json.loads((Path(os.environ["CREDENTIALS_DIRECTORY"]) / "account").read_text(encoding="utf-8"))
    pem = order(config, account, publisher(config, session, runtime))
    write(pending, pem)
    return pem


def write(path: Path, pem: str) -> None:
    """Replace a file with a certificate and its key."""
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def next_attempt(config: Mapping[str, Any], now: datetime) -> str:
    """Return until when the timer starts the next attempt. After a boot, it starts an attempt earlier."""
    last = now + timedelta(hours=config["interval_hours"], minutes=config["jitter_minutes"])
    return f"The next attempt starts by {_shown(last)}."


def report(config: Mapping[str, Any], stored: str, cause: Exception, now: datetime) -> str:
    """Return the message about an order that failed."""
    kept = f", which is valid until {_shown(validity(stored)[1])}" if BEGIN in stored else ""
    remedy = getattr(cause, "remedy", "")
    return (
        f"Cannot get a certificate for {config['hostname']} from {config['directory']}: {cause}."
        f" The server keeps its certificate{kept}. {next_attempt(config, now)}{f' {remedy}.' if remedy else ''}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; return its exit code."""
    parser = argparse.ArgumentParser(description="Order or renew the server certificate")
    parser.add_argument("--config", type=Path, default=Path("/etc/mlflow-acme.json"))
    parser.add_argument("--check", action="store_true", help="only print the reason for an order, empty if not due")
    options = parser.parse_args(arguments)
    config = json.loads(options.config.read_text(encoding="utf-8"))
    stored = ""
    try:
        session, _project = fetch.identity(REQUEST_SECONDS)
        if config["challenge"] == "dns-01" and not options.check:
            records(session).remove_left_over(config["record"]["project"], config["record"]["zone"])
        stored = read(session, config)
        reason = due(stored, config, datetime.now(UTC))
        if options.check:
            print(json.dumps({"due": reason}))
            return 0
        runtime = Path(os.environ["RUNTIME_DIRECTORY"])
        if reason:
            print(f"Ordering a certificate for {config['hostname']} from {config['directory']}: {reason}", flush=True)
            pending = Path(os.environ["STATE_DIRECTORY"]) / "pending.pem"
            new = ordered(config, session, pending, runtime)
            store(session, config, new)
            pending.unlink()
            stored = new
        write(runtime / "certificate.pem", stored)
    except Exception as error:  # each cause must reach the journal in one message
        if options.check:
            print(json.dumps({"due": f"the stored certificate cannot be read: {error}"}))
            return 0
        print(report(config, stored, error, datetime.now(UTC)), file=sys.stderr)
        return 1
    begin, end = validity(stored)
    print(f"The certificate is valid until {_shown(end)}. It is renewed from {_shown(begin + (end - begin) * 2 / 3)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
