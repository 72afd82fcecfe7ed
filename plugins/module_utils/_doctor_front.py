# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check a deployment as a client: name, certificate, authentication, run, artifact, clock. Run and artifact write."""

from __future__ import annotations

import email.utils
import io
import math
import os
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ._doctor_rows import Row, UnexaminedError, fail, graded, ok, one_line, warn

try:
    import requests
    from cryptography import x509

    IMPORT_ERROR: str | None = None
except ImportError as error:  # reported by the module
    IMPORT_ERROR = str(error)

if TYPE_CHECKING:
    from requests import Response, Session

Json = dict[str, Any]
MARK = "mlops.mlflow_gcp.doctor"  # tag of the doctor's runs
ARTIFACT = "doctor.bin"  # name of the doctor's artifact
LEFT_OVER_SECONDS = 3600.0  # a tagged run of this age belongs to a doctor that was killed
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
TRANSFER_SECONDS = 900.0  # maximum pause of a transfer; the server stores an upload before it responds
MEGABYTE = 1_000_000
BLOCK = 1 << 20  # bytes that are read, generated and compared at once
DAY = 86400.0

LOGS = "look at the server: journalctl -u mlflow -u 'mlflow@*' -u nginx on the machine"
CONFIGURE = "ansible-playbook playbooks/configure.yml"
SITE = "ansible-playbook site.yml"


def new_session() -> Session:
    """Return a new session. A function, because requests may not be installed when this file is imported."""
    return requests.Session()


@dataclass
class Front:
    """One deployment from the point of view of its clients.

    ``host`` is the DNS name or address of the clients, ``address`` the static address, ``authority`` the path of the CA
    certificate to trust (empty: the CAs of the control node), and ``password`` the administrator's password. An error
    as ``address`` or ``password`` means that it is unknown.
    """

    host: str
    address: str | Exception
    authority: str
    username: str
    password: str | Exception
    session: Session = field(default_factory=new_session)
    now: Callable[[], float] = time.time
    port: int = 443

    def __post_init__(self) -> None:
        # Ignore the control node's proxy and .netrc, because they are not part of the deployment.
        self.session.trust_env = False
        self.session.verify = self.trust

    @property
    def trust(self) -> str:
        """Return the file or directory of the trusted CAs: the deployment's own, or the default of MLflow's client."""
        return self.authority or os.environ.get("REQUESTS_CA_BUNDLE") or requests.utils.DEFAULT_CA_BUNDLE_PATH

    @property
    def url(self) -> str:
        """Return the URL of MLflow."""
        return f"https://{self.target}"

    @property
    def target(self) -> str:
        """Return the DNS name or address that clients use."""
        if self.host:
            return self.host
        if isinstance(self.address, Exception):
            raise UnexaminedError(f"the static address is not known: {one_line(self.address)}")
        return self.address

    def ask(self, method: str, path: str, *, signed_in: bool = True, **options: Any) -> Response:
        """Send one request to the server. Raise UnexaminedError if there is no response."""
        if signed_in:
            if isinstance(self.password, Exception):
                raise UnexaminedError(f"the administrator's password cannot be read: {one_line(self.password)}", SITE)
            options["auth"] = (self.username, self.password)
        options.setdefault("timeout", (CONNECT_SECONDS, ANSWER_SECONDS))
        try:
            return self.session.request(method, self.url + path, allow_redirects=False, **options)
        except requests.exceptions.SSLError as error:
            raise UnexaminedError(f"TLS: {one_line(error, 160)}", "see the row certificate") from error
        except requests.exceptions.RequestException as error:
            raise UnexaminedError(f"{type(error).__name__}: {one_line(error, 200)}", LOGS) from error

    def call(self, method: str, path: str, **options: Any) -> Json:
        """Send a request to MLflow's REST API. Raise UnexaminedError unless it succeeds."""
        answer = self.ask(method, f"/api/2.0/mlflow/{path}", **options)
        _require(answer, f"{method} {path}")
        document: Json = answer.json() if answer.content else {}
        return document


def _succeeded(answer: Response) -> bool:
    # `answer.ok` also accepts a redirect, for example to another service's login page.
    return 200 <= answer.status_code < 300


def _require(answer: Response, what: str) -> None:
    if not _succeeded(answer):
        remedy = LOGS
        if answer.status_code == 503 and "Retry-After" in answer.headers:
            remedy = "the server is held for a migration or starts; wait, then look at the row server"
        elif answer.status_code == 401:
            remedy = f"server and Secret Manager hold different passwords: {CONFIGURE}"
        raise UnexaminedError(f"{what}: HTTP {answer.status_code}: {one_line(answer.text, 160)}", remedy)


# Name and address -----------------------------------------------------------------------------------------------------


def address(front: Front) -> Row:
    """Check that the name resolves to the static address, and that the port accepts connections."""
    target = front.target
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(target, front.port, type=socket.SOCK_STREAM)}
    except OSError as error:
        return fail("address", f"{target} has no address: {error}", f"point its DNS record at {_known(front.address)}")
    if isinstance(front.address, str) and front.address not in found:
        leads = ", ".join(sorted(found))
        return fail(
            "address",
            f"{target} leads to {leads}, the deployment's address is {front.address}",
            f"point the DNS record of {target} at {front.address}",
        )
    begin = time.monotonic()
    try:
        socket.create_connection((target, front.port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        return fail(
            "address",
            f"{target} does not answer on port {front.port}: {error}",
            "look at the rows machine, units and drift (firewall);"
            " your own address must be in infrastructure_client_source_ranges",
        )
    milliseconds = (time.monotonic() - begin) * 1000
    name = f"{target} is {front.address}" if isinstance(front.address, str) and target != front.address else target
    value = f"{name}, answers on port {front.port} in {milliseconds:.0f} ms"
    if isinstance(front.address, Exception):
        return warn("address", f"{value}; the static address is not known: {one_line(front.address)}", SITE)
    return ok("address", value)


def _known(address: str | Exception) -> str:
    return address if isinstance(address, str) else "the deployment's static address"


# Certificates ---------------------------------------------------------------------------------------------------------


def _certificate(front: Front, context: ssl.SSLContext) -> x509.Certificate:
    with (
        socket.create_connection((front.target, front.port), timeout=CONNECT_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=front.target) as tls,
    ):
        return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")


def _end(certificate: x509.Certificate) -> float:
    # cryptography before version 42 has no not_valid_after_utc.
    end = getattr(certificate, "not_valid_after_utc", None) or certificate.not_valid_after.replace(tzinfo=UTC)
    return float(end.timestamp())


def _days(certificate: x509.Certificate, now: float) -> tuple[float, str]:
    days = (_end(certificate) - now) / DAY
    return (
        days,
        f"{math.floor(days)} days left (until {datetime.fromtimestamp(_end(certificate), UTC):%Y-%m-%d})",
    )


def certificate(front: Front, warn_days: float, fail_days: float) -> Row:
    """Check that clients accept the certificate chain, and for how long."""
    remedy = (
        f"issue it anew: {SITE} -e infrastructure_certificate_renew_days={max(math.ceil(warn_days), 1)}"
        if front.authority
        else f"give a newer one (infrastructure_certificate_file), then {SITE}; a private authority belongs into the"
        " file that REQUESTS_CA_BUNDLE names, on this host and on every client's"
    )
    try:
        folder = Path(front.trust).is_dir()
        trusted = ssl.create_default_context(
            cafile=None if folder else front.trust, capath=front.trust if folder else None
        )
    except (OSError, ssl.SSLError) as error:
        cure = (
            f"fetch the authority anew: {SITE}" if front.authority else "set REQUESTS_CA_BUNDLE to a file that is there"
        )
        return fail("certificate", f"{front.trust} cannot be read: {error}", cure)
    strict = ""
    try:
        try:
            # Python 3.13 verifies strictly by default. The running Python may be older.
            trusted.verify_flags |= ssl.VERIFY_X509_STRICT
            found = _certificate(front, trusted)
        except ssl.SSLCertVerificationError as error:
            strict = error.verify_message
            trusted.verify_flags &= ~ssl.VERIFY_X509_STRICT
            found = _certificate(front, trusted)
    except ssl.SSLCertVerificationError as error:
        blind = ssl.create_default_context()
        blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE  # reads the refused certificate, sends nothing
        subject, left = "", ""
        try:
            found = _certificate(front, blind)
            subject, left = found.subject.rfc4514_string(), _days(found, front.now())[1]
        except (OSError, ValueError):
            pass
        shown = f" ({subject}, {left})" if subject else ""
        return fail("certificate", f"clients refuse it: {error.verify_message}{shown}", remedy)
    except OSError as error:
        raise UnexaminedError(f"no TLS connection: {one_line(error)}", LOGS) from error
    days, left = _days(found, front.now())
    value = f"trusted, {left}" + (f"; clients with Python 3.13 refuse it: {strict}" if strict else "")
    return graded("certificate", value, (bool(strict) or days < warn_days, days < fail_days), remedy)


def authority(path: str, own: bool, now: float, warn_days: float, fail_days: float) -> Row:
    """Check the deployment's own CA certificate, in the file that clients use."""
    if not own:
        return ok("authority", "none of our own: the certificate was given")
    try:
        with open(path, "rb") as handle:  # noqa: PTH123 - the option is a path as text
            found = x509.load_pem_x509_certificate(handle.read())
    except (OSError, ValueError) as error:
        return fail("authority", f"{path}: {one_line(error)}", f"{SITE} reads it from Secret Manager")
    days, left = _days(found, now)
    remedy = "make another authority and hand its certificate to the clients: docs/operations/certificate-authority.md"
    lacks = _lacks(found)
    value = left + (f"; clients with Python 3.13 refuse it: it lacks {', '.join(lacks)}" if lacks else "")
    return graded("authority", value, (bool(lacks) or days < warn_days, days < fail_days), remedy)


def _lacks(authority: x509.Certificate) -> list[str]:
    """Return the extensions that ssl.VERIFY_X509_STRICT requires of a CA (RFC 5280, 4.2.1) and that are missing."""
    found = {type(each.value): each for each in authority.extensions}
    constraints, usage = found.get(x509.BasicConstraints), found.get(x509.KeyUsage)
    demanded = {
        "critical Basic Constraints": constraints is not None and constraints.critical,
        "Key Usage keyCertSign": usage is not None and usage.value.key_cert_sign,
        "a Subject Key Identifier": x509.SubjectKeyIdentifier in found,
    }
    return [name for name, there in demanded.items() if not there]


# Authentication and clock ---------------------------------------------------------------------------------------------


def sign_in(front: Front) -> Row:
    """Check that the server refuses requests without a password and accepts the administrator's password."""
    search: Json = {"json": {"max_results": 1}}
    path = "/api/2.0/mlflow/experiments/search"
    without = front.ask("POST", path, signed_in=False, **search)
    if _succeeded(without):
        return fail(
            "sign-in",
            f"anybody gets in: HTTP {without.status_code} without a password",
            f"close the firewall (infrastructure_client_source_ranges), then {CONFIGURE}",
        )
    if without.status_code != 401:
        _require(without, "without a password, where 401 was expected")
    with_it = front.ask("POST", path, **search)
    _require(with_it, f"as {front.username}")
    return ok("sign-in", f"401 without a password, {with_it.status_code} as {front.username}")


def clock(front: Front, machine: float | None, synchronized: bool | None, warn_s: float, fail_s: float) -> Row:
    """Check the difference between the clocks of the control node, the server and the VM.

    ``machine`` is the difference in seconds by which the VM's clock is ahead, or None if it is unknown.
    """
    remedy = "see that a time service runs on the machine (timedatectl) and on this host"
    parts, skews, missing = [], [], []
    try:
        before = front.now()
        answer = front.ask("GET", "/health", signed_in=False)
        after = front.now()
        stamp = email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp()
        # The header has whole seconds, rounded down.
        skews.append(_outside(stamp, before - 1.0, after))
        parts.append(f"server {skews[-1]:+.0f} s")
    except (UnexaminedError, KeyError, TypeError, ValueError) as error:
        missing.append(f"server's not known ({one_line(error, 80)})")
    if machine is None:
        missing.append("machine's not known")
    else:
        skews.append(machine)
        parts.append(f"machine {machine:+.0f} s")
    if synchronized is not None:
        parts.append("synchronised" if synchronized else "machine is not synchronised")
    if not skews:
        raise UnexaminedError("; ".join(missing), remedy)
    worst = max(abs(skew) for skew in skews)
    bad = worst > warn_s or synchronized is False or bool(missing)
    return graded("clock", ", ".join(parts + missing), (bad, worst > fail_s), remedy)


def _outside(value: float, low: float, high: float) -> float:
    return value - high if value > high else value - low if value < low else 0.0


# A run and an artifact ------------------------------------------------------------------------------------------------


@dataclass
class Traces:
    """The items that the doctor created and must delete."""

    run_id: str = ""
    artifact_uri: str = ""
    experiment_id: str = ""


def experiment(front: Front) -> str:
    """Return the first active experiment whose artifacts go through the server, else the first active experiment."""
    wanted = {"max_results": 100, "order_by": ["experiment_id ASC"], "view_type": "ACTIVE_ONLY"}
    found = front.call("POST", "experiments/search", json=wanted).get("experiments", [])
    if not found:
        raise UnexaminedError("there is no active experiment to log to", "make one: mlflow experiments create -n NAME")
    served = [each for each in found if each.get("artifact_location", "").startswith("mlflow-artifacts:")]
    return str((served or found)[0]["experiment_id"])


@contextmanager
def marked_run(front: Front, forget: Callable[[str], None]) -> Iterator[Traces]:
    """Create a run with the doctor's tag. Delete the run at the end, also after a failure.

    Before the deletion, ``forget`` gets the run's artifact URI and deletes the artifact.
    """
    traces = Traces(experiment_id=experiment(front))
    sweep(front, traces.experiment_id, forget)
    try:
        stamp = int(front.now() * 1000)
        made = front.call(
            "POST",
            "runs/create",
            json={
                "experiment_id": traces.experiment_id,
                "run_name": "doctor",
                "start_time": stamp,
                "tags": [{"key": MARK, "value": secrets.token_hex(8)}],
            },
        )
        info = made["run"]["info"]
        traces.run_id, traces.artifact_uri = info["run_id"], info.get("artifact_uri", "")
        yield traces
    finally:
        if traces.run_id:
            forget(traces.artifact_uri)
            front.call("POST", "runs/delete", json={"run_id": traces.run_id})


def sweep(front: Front, experiment_id: str, forget: Callable[[str], None]) -> int:
    """Delete the runs of doctors that were killed, and return the number of runs."""
    found = front.call("POST", "runs/search", json=_marked(experiment_id))
    old = [
        run["info"]
        for run in found.get("runs", [])
        if int(run["info"].get("start_time", 0)) / 1000 < front.now() - LEFT_OVER_SECONDS
    ]
    for info in old:
        forget(info.get("artifact_uri", ""))
        front.call("POST", "runs/delete", json={"run_id": info["run_id"]})
    return len(old)


def _marked(experiment_id: str) -> Json:
    return {
        "experiment_ids": [experiment_id],
        "filter": f"tags.`{MARK}` LIKE '%'",
        "run_view_type": "ACTIVE_ONLY",
        "max_results": 100,
    }


def run(front: Front, traces: Traces) -> Row:
    """Log to the tagged run, search for the run, and read it back."""
    begin = time.monotonic()
    value, stamp = secrets.randbelow(10**6) / 1000, int(front.now() * 1000)
    front.call(
        "POST",
        "runs/log-batch",
        json={
            "run_id": traces.run_id,
            "metrics": [{"key": "pulse", "value": value, "timestamp": stamp, "step": 0}],
            "params": [{"key": "examined", "value": str(stamp)}],
        },
    )
    found = front.call("POST", "runs/search", json=_marked(traces.experiment_id))
    if traces.run_id not in {entry["info"]["run_id"] for entry in found.get("runs", [])}:
        return fail("run", "logged, and the search does not find it", LOGS)
    data = front.call("GET", "runs/get", params={"run_id": traces.run_id})["run"]["data"]
    metrics = {metric["key"]: metric["value"] for metric in data.get("metrics", [])}
    if metrics.get("pulse") != value or {"key": "examined", "value": str(stamp)} not in data.get("params", []):
        return fail("run", "what was read back is not what was logged", LOGS)
    return ok("run", f"logged, found and read back in {time.monotonic() - begin:.1f} s")


class Noise(io.RawIOBase):
    """A stream of random bytes that cannot be compressed. Streams with the same seed are equal.

    http.client reads 16 KiB at a time. A read must cost almost nothing, or the check measures the doctor itself.
    """

    def __init__(self, size: int, seed: bytes) -> None:
        self.size, self.position = size, 0
        self._seed, self._block = seed, seed

    def __len__(self) -> int:
        return self.size

    def readable(self) -> bool:
        """Return that the stream is readable."""
        return True

    def tell(self) -> int:
        """Return the position. requests needs it to send the length."""
        return self.position

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        left = self.size - self.position
        wanted = left if size is None or size < 0 else min(size, left)
        pieces = []
        while wanted > 0:
            number, offset = divmod(self.position, len(self._seed))
            if offset == 0:
                # Each block begins with its number, so that all blocks differ.
                self._block = number.to_bytes(8, "big") + self._seed[8:]
            piece = self._block[offset : offset + wanted]
            pieces.append(piece)
            self.position += len(piece)
            wanted -= len(piece)
        return b"".join(pieces)


def artifact(front: Front, traces: Traces, megabytes: int) -> Row:
    """Upload, download, compare and delete an artifact, streamed both ways."""
    if not traces.artifact_uri.startswith("mlflow-artifacts:"):
        return warn(
            "artifact",
            f"clients store the artifacts of experiment {traces.experiment_id} by themselves:"
            f" {one_line(traces.artifact_uri, 100)}",
            "make experiments whose artifacts go through the server; old ones keep their location",
        )
    folder = traces.artifact_uri.partition(":")[2].lstrip("/")
    path = f"/api/2.0/mlflow-artifacts/artifacts/{quote(folder)}/{ARTIFACT}"
    patience = (CONNECT_SECONDS, TRANSFER_SECONDS)
    seed = os.urandom(BLOCK)
    sent, expected = (Noise(megabytes * MEGABYTE, seed) for _copy in range(2))
    uploaded = False
    try:
        begin = time.monotonic()
        headers = {"Content-Type": "application/octet-stream"}
        answer = front.ask("PUT", path, data=sent, headers=headers, timeout=patience)
        up = time.monotonic() - begin
        _require(answer, f"upload of {megabytes} MB")
        uploaded = True
        begin = time.monotonic()
        size, equal = 0, True
        with front.ask("GET", path, stream=True, timeout=patience) as answer:
            _require(answer, "download")
            for block in answer.iter_content(BLOCK):
                equal = block == expected.read(len(block)) and equal
                size += len(block)
        down = time.monotonic() - begin
    finally:
        gone = front.ask("DELETE", path) if uploaded else None
    if size != sent.size or not equal:
        return fail("artifact", f"{sent.size} bytes uploaded, {size} different bytes downloaded", LOGS)
    if gone is None or not _succeeded(gone):
        return warn("artifact", f"{path} could not be deleted again", LOGS)
    rates = f"{megabytes / max(up, 1e-6):.0f} MB/s up, {megabytes / max(down, 1e-6):.0f} MB/s down"
    return ok("artifact", f"{megabytes} MB, content equal, {rates}")
