# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Compare requests per second with a password, a session and an identity token, and without authentication.

    .venv/bin/python -m benchmarks authentication --write

The nginx configuration of the roles, OAuth2-Proxy and MLflow with the server package run on the loopback interface.
MLflow has one worker process and SQLite. All servers run at the same time; one of them gets requests.
"""

from __future__ import annotations

import argparse
import http.client
import ssl
import statistics
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
sys.path[:0] = [
    str(REPOSITORY / each) for each in ("collections", "roles/mlflowctl/files", "roles/mlflowctl/files/server")
]

import psycopg  # noqa: E402
from ansible.plugins.loader import init_plugin_loader  # noqa: E402

# Only a release on the VM has psycopg2. The names that mlflowctl uses are the same.
sys.modules.setdefault("psycopg2", psycopg)
init_plugin_loader([str(REPOSITORY / "collections")])

from benchmarks.results import RESULTS, conditions, ratios, spread, table, write  # noqa: E402
from tests.front_end.client import NAME, bearer, cookie  # noqa: E402
from tests.front_end.mlflow_stand_in import basic  # noqa: E402
from tests.front_end.sign_in import Browser  # noqa: E402
from tests.front_end.site import OAUTH2_PROXY, Site, short_directory, site  # noqa: E402
from tests.unit.mlflowctl import served  # noqa: E402

TITLE = "Requests with and without authentication"
PATH = "/api/2.0/mlflow/experiments/get?experiment_id=0"
WITHOUT = "no authentication"
CLIENTS = 4
ADMINISTRATOR = "boss@example.com"
READER = "alice@example.com"  # may read the experiment
GRANT = {"username": READER, "resource_type": "experiment", "resource_id": "0", "permission": "READ"}


@dataclass(frozen=True)
class Variant:
    """A server and the headers of a client."""

    port: int
    certificate: Path
    headers: dict[str, str]

    def count(self, seconds: float) -> int:
        """Send requests on one connection; return their number. Raises SystemExit at another status than 200."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.check_hostname = False
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=60)
        end, answered = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            connection.request("GET", PATH, headers={"Host": NAME, **self.headers})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != http.HTTPStatus.OK:
                raise SystemExit(f"error: {answer.status} {body[:200]!r}")
            answered += 1
        connection.close()
        return answered

    def rate(self, seconds: float) -> float:
        """Return the requests per second of several clients."""
        begin = time.monotonic()
        with ThreadPoolExecutor(CLIENTS) as pool:
            counts = list(pool.map(self.count, [seconds] * CLIENTS))
        return sum(counts) / (time.monotonic() - begin)


def variant(made: Site, *headers: tuple[str, str]) -> Variant:
    """Return a client of a front end."""
    return Variant(made.port, made.root / "server.pem", dict(headers))


@contextmanager
def variants() -> Iterator[dict[str, Variant]]:
    """Run the servers; yield a client of each kind."""
    password = ("Authorization", basic(served.ADMIN, served.ADMIN_PASSWORD))

    def front_end(stack: ExitStack, role: str, **options: str) -> tuple[Site, served.Served]:
        folder = stack.enter_context(short_directory())
        server = stack.enter_context(
            served.served(
                folder, single_sign_on=role == OAUTH2_PROXY, MLFLOW_SERVER_ALLOWED_HOSTS=f"{NAME},localhost", **options
            )
        )
        socket = str(folder / "mlflow.sock")
        return stack.enter_context(site(role, secret=served.SECRET, nginx_upstream_socket=socket)), server

    with ExitStack() as stack:
        plain, _ = front_end(stack, "authentication_basic", factory="mlflow.server.fastapi_app:create_fastapi_app")
        passwords, _ = front_end(stack, "authentication_basic")
        single_sign_on, server = front_end(stack, OAUTH2_PROXY)
        stack.enter_context(single_sign_on.run_oauth2_proxy())
        browsers = {}
        for person in (ADMINISTRATOR, READER):
            browsers[person] = Browser(single_sign_on)
            browsers[person].sign_in(person)

        def session(person: str) -> Variant:
            return variant(single_sign_on, cookie(browsers[person].cookies.items()))

        # The first request creates the user.
        server.ask("GET", PATH, {"Host": NAME, **served.person(READER)})
        server.admin("POST", "/api/3.0/mlflow/users/permissions/grant", GRANT)
        yield {
            WITHOUT: variant(plain),
            "password": variant(passwords, password),
            "session of OAuth2-Proxy": session(ADMINISTRATOR),
            "identity token": variant(single_sign_on, bearer(single_sign_on.provider.token(ADMINISTRATOR))),
            "password, mode `oauth2_proxy`": variant(single_sign_on, password),
            "session of a user with READ": session(READER),
        }


def measure(seconds: float, rounds: int) -> str:
    """Return the results as Markdown."""
    with variants() as clients:
        rates: dict[str, list[float]] = {name: [] for name in clients}
        for number in range(rounds + 1):
            for name, client in clients.items():
                rate = client.rate(seconds)
                print(f"==> round {number}: {name}: {rate:.0f} requests/s", file=sys.stderr, flush=True)
                if number:  # the first round warms up the caches
                    rates[name].append(rate)
    rows = [
        (name, spread(found, 0), "1" if name == WITHOUT else spread(ratios(found, rates[WITHOUT]), 2))
        for name, found in rates.items()
    ]
    median = statistics.median(rates[WITHOUT])
    text = (
        f"{rounds} rounds. In each round {CLIENTS} clients with open connections send requests to each server for"
        f" {seconds:g} s, one server after the other. The request reads an experiment and takes"
        f" {1000 / median:.1f} ms without authentication. {conditions('authentication')}"
    )
    columns = ("Credential", "requests/s (minimum / median / maximum)", "ratio to no authentication, by round")
    return f"{text}\n\n{table(columns, rows)}"


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=TITLE)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true", help=f"write the results to {RESULTS.name}")
    options = parser.parse_args()
    text = measure(options.seconds, options.rounds)
    print(text)
    if options.write:
        write(RESULTS, TITLE, text)
    return 0
