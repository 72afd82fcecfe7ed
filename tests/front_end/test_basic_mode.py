# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The mode `basic` passes no header with which the mode `oauth2_proxy` names a person."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.front_end.client import bearer
from tests.front_end.site import Site, site
from tests.front_end.test_credentials import ADMIN, API, contract
from tests.front_end.test_forged_headers import CASES, forged


@pytest.fixture(scope="module")
def basic_mode() -> Iterator[Site]:
    with site("authentication_basic") as made:
        made.mlflow.challenge = 'Basic realm="mlflow"'
        yield made


@pytest.fixture(autouse=True)
def _no_requests(basic_mode: Site) -> None:
    basic_mode.mlflow.requests.clear()


@pytest.mark.parametrize(("case", "path"), CASES)
def test_a_forged_header_is_no_credential(basic_mode: Site, case: str, path: str) -> None:
    method = "POST" if path == "/graphql" else "GET"
    header = forged(basic_mode, case)
    answer = basic_mode.client.ask(path, [header], method=method)
    assert answer.status in (400, 401)
    answer = basic_mode.client.ask(path, [ADMIN, header], method=method)
    if answer.status != 400:
        assert (answer.status, answer.document["user"]) == (200, "admin")
        assert not [name for name in contract(answer) if name.startswith("x-mlflow-identity")]


def test_mlflow_gets_authorization_and_cookies_as_they_came(basic_mode: Site) -> None:
    answer = basic_mode.client.ask(API, [ADMIN, ("Cookie", "a=b; session=c")])
    assert contract(answer) == {"authorization": ADMIN[1], "cookie": "a=b; session=c"}


def test_nothing_is_sent_to_sign_in_with_an_account(basic_mode: Site) -> None:
    answer = basic_mode.client.ask("/", [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate")])
    assert (answer.status, answer.challenges) == (401, ['Basic realm="mlflow"'])
    assert basic_mode.client.ask(API, [bearer("x")]).status == 401
    assert basic_mode.client.ask("/oauth2/sign_in").status == 401


def test_closed_routes_require_the_password(basic_mode: Site) -> None:
    answer = basic_mode.client.ask("/metrics")
    assert (answer.status, answer.challenges) == (401, ['Basic realm="mlflow"'])
    assert answer.document["error_code"] == "UNAUTHENTICATED"
    assert basic_mode.client.ask("/metrics", [ADMIN]).status == 404
