# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Malformed credentials and password guessing on the real server."""

from __future__ import annotations

import base64
import http.client
import random
import ssl
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator

from mlflow_server import Server

VALUES = 10_000
ROUTES = [
    "/api/2.0/mlflow/experiments/search?max_results=1",
    "/ajax-api/2.0/mlflow/users/current",
    "/api/2.0/mlflow-artifacts/artifacts/0/run/artifacts/model.bin",
    "/gateway/chat/mlflow/invocations",
    "/api/3.0/mlflow/traces/search",
    "/graphql",
    "/",
    "/no/such/route",
]
SCHEMES = [
    b"Basic",
    b"basic",
    b"Bearer",
    b"Digest",
    b"Negotiate",
    b"NTLM",
    b"AWS4-HMAC-SHA256",
    b"Token",
    b"",
    b"Bas\xffic",
]


def malformed(chosen: random.Random) -> bytes:
    """Return the value of an Authorization header without a valid user name and password."""
    scheme = chosen.choice(SCHEMES)
    # Tab and NUL are the only control characters that an HTTP client can send.
    octets = [*range(0x20, 0x7F), *range(0x80, 0x100), 0x09, 0x00]
    text = bytes(chosen.choices(octets, k=chosen.choice([0, 1, 2, 7, 40, 300, 3000])))
    encoded = base64.b64encode(text)
    if scheme.lower() != b"basic":
        return chosen.choice([scheme, scheme + b" " + text, scheme + b" " + encoded, text])
    without_colon = base64.b64encode(text.replace(b":", b";"))
    with_nul = base64.b64encode(b"admin\0:" + text)
    invalid = base64.b64encode(b"\xff\xfeadmin:" + text)
    return b"Basic " + chosen.choice(
        [b"", b" ", b"=", b"\xff" + encoded, encoded[:-1] + b"*", without_colon, with_nul, invalid]
    )


class Connection:
    """A connection to the front end. After a close it connects again."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._context = ssl.create_default_context(cafile=str(server.ca))
        self._connect()

    def _connect(self) -> None:
        self._http = http.client.HTTPSConnection(self._server.address, context=self._context, timeout=60)

    def status(self, route: str, *values: bytes, method: str = "GET", name: str = "Authorization") -> int:
        """Send the values in the header; return the status."""
        for _ in range(2):
            try:
                self._http.putrequest(method, route)
                for value in values:
                    self._http.putheader(name, value)
                self._http.endheaders()
                answer = self._http.getresponse()
                answer.read()
            except (http.client.BadStatusLine, ConnectionError, ssl.SSLError):
                self._connect()
                continue
            if answer.getheader("Connection") == "close":
                self._connect()
            return answer.status
        raise AssertionError(f"{route}: no answer to {values!r:.200}")


def test_malformed_credentials_are_client_errors(server: Server) -> None:
    """The response to `Authorization: Bearer x` was 500, and clients repeated the request for minutes."""
    chosen, connection = random.Random(20261128), Connection(server)
    wrong: Counter[tuple[int, str, bytes]] = Counter()
    statuses: Counter[int] = Counter()
    for _ in range(VALUES):
        route, value = chosen.choice(ROUTES), malformed(chosen)
        method = "POST" if route.startswith(("/gateway", "/graphql", "/api/3.0")) else "GET"
        name = "X-MLflow-Authorization" if route.startswith("/gateway") and chosen.random() < 0.5 else "Authorization"
        status = connection.status(route, value, method=method, name=name)
        statuses[status] += 1
        if status not in (400, 401):
            wrong[status, route, value[:80]] += 1
    assert not wrong, wrong.most_common(5)
    # Most requests reach the authentication of the server.
    assert statuses[401] > VALUES / 2


def test_two_credentials_and_a_very_long_one_are_refused(server: Server) -> None:
    good = b"Basic " + base64.b64encode(f"admin:{server.password}".encode())
    connection = Connection(server)
    for route in ROUTES[:4]:
        assert connection.status(route, good, good) in (400, 401)
        assert connection.status(route, b"Basic " + b"A" * 100_000) in (400, 401)
    assert connection.status(ROUTES[0], good) == 200


def guess(server: Server, ends: threading.Event, statuses: Counter[int], number: int) -> None:
    """Try wrong passwords, one after the other."""
    connection = Connection(server)
    for attempt in range(2000):
        if ends.is_set():
            break
        value = b"Basic " + base64.b64encode(f"admin:guess-{number}-{attempt}".encode())
        statuses[connection.status(ROUTES[0], value)] += 1
        time.sleep(0.5)


def latencies(server: Server, seconds: float) -> Iterator[float]:
    """Search as a client with the correct password. Yield the seconds of each request."""
    good = b"Basic " + base64.b64encode(f"admin:{server.password}".encode())
    connection, ends = Connection(server), time.monotonic() + seconds
    while time.monotonic() < ends:
        begun = time.monotonic()
        assert connection.status(ROUTES[0], good) == 200
        yield time.monotonic() - begun


def test_guessing_is_limited_and_valid_clients_of_the_same_address_are_not(server: Server) -> None:
    """20 clients with wrong passwords slowed down all clients, because each request computed a password hash."""
    alone = list(latencies(server, 4))
    ends, statuses = threading.Event(), Counter[int]()
    guessing = [threading.Thread(target=guess, args=(server, ends, statuses, number)) for number in range(20)]
    for thread in guessing:
        thread.start()
    try:
        beside = list(latencies(server, 8))
        # On a loaded host the guesses are slow.
        deadline = time.monotonic() + 60
        while statuses.total() < 200 and time.monotonic() < deadline:
            beside += latencies(server, 1)
    finally:
        ends.set()
        for thread in guessing:
            thread.join()
    print(f"p50 alone {statistics.median(alone):.4f} s, beside {statistics.median(beside):.4f} s; guesses {statuses}")
    # Most guesses need no hash. Latencies are not asserted, because other processes use the host too.
    assert set(statuses) == {401, 429}
    assert statuses[429] > 2 * statuses[401]
