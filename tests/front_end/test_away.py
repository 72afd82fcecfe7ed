# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The front end while OAuth2-Proxy, the identity provider or MLflow does not answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.front_end.client import Answer, bearer
from tests.front_end.sign_in import FROM_PROVIDER, NAVIGATION, Browser
from tests.front_end.site import Site, site
from tests.front_end.test_credentials import ADMIN, API


def assert_away(answer: Answer, *, page: bool = False, words: str = "accounts and tokens") -> None:
    """Assert 503 with the time of the next attempt and the cause."""
    assert (answer.status, answer.headers["Retry-After"]) == (503, "30"), answer.text
    assert words in answer.text
    assert answer.headers["Content-Type"] == ("text/html" if page else "application/json")
    if not page:
        assert answer.document["error_code"] == "TEMPORARILY_UNAVAILABLE"
    assert answer.challenges == []


@pytest.fixture(scope="module")
def without_oauth2_proxy() -> Iterator[Site]:
    with site("authentication_oauth2_proxy") as made:
        yield made


@pytest.mark.parametrize("path", [API, "/metrics", "/gateway/x/mlflow/invocations"])
def test_without_oauth2_proxy_tokens_and_sessions_wait(without_oauth2_proxy: Site, path: str) -> None:
    client, provider = without_oauth2_proxy.client, without_oauth2_proxy.provider
    assert_away(client.ask(path, [bearer(provider.token())]))
    assert_away(client.ask(path, [("Cookie", "__Host-mlflow=x")]))
    assert_away(client.ask(path))
    assert without_oauth2_proxy.mlflow.requests == []


def test_a_service_that_does_not_start_is_away(without_oauth2_proxy: Site) -> None:
    """systemd accepts the connections of a service that fails to start."""
    with without_oauth2_proxy.oauth2_proxy_hangs():
        assert_away(without_oauth2_proxy.client.ask(API, [("Cookie", "__Host-mlflow=x")]))


def test_without_oauth2_proxy_a_browser_gets_a_page(without_oauth2_proxy: Site) -> None:
    for path in ("/", "/oauth2/sign_in", "/oauth2/callback?code=a&state=b"):
        assert_away(without_oauth2_proxy.client.ask(path, NAVIGATION), page=True)
    assert_away(without_oauth2_proxy.client.ask("/oauth2/sign_in"))


def test_without_oauth2_proxy_passwords_work(without_oauth2_proxy: Site) -> None:
    client = without_oauth2_proxy.client
    answer = client.ask(API, [ADMIN])
    assert (answer.status, answer.document["user"]) == (200, "admin")
    assert client.ask("/metrics", [ADMIN]).status == 404
    assert client.ask("/health").status == 200
    assert client.ask("/signed-out").status == 200


def test_without_the_provider_sessions_and_tokens_work_and_new_people_get_a_page() -> None:
    with site("authentication_oauth2_proxy") as made:
        browser, late = Browser(made), Browser(made)
        with made.run_oauth2_proxy():
            browser.sign_in("bob@example.com")
            callback = late.callback("alice@example.com")
            # A verified token, so that OAuth2-Proxy has read the keys.
            assert made.client.ask(API, [bearer(made.provider.token())]).status == 200
            with made.provider_away():
                assert browser.open(API, []).document["user"] == "bob@example.com"
                assert made.client.ask(API, [bearer(made.provider.token())]).status == 200
                answer = late.open(callback, FROM_PROVIDER)
                assert (answer.status, answer.headers["Content-Type"].split(";")[0]) == (500, "text/html")
                assert late.open("/").status == 401
        with made.provider_away(), made.run_oauth2_proxy():
            # Also after a restart.
            assert browser.open(API, []).document["user"] == "bob@example.com"


def test_without_mlflow_the_message_names_mlflow(front_end: Site) -> None:
    with front_end.mlflow_away():
        for headers in ([ADMIN], [bearer(front_end.provider.token())]):
            assert_away(front_end.client.ask(API, headers), words="MLflow is starting")
        assert_away(front_end.client.ask("/metrics", [ADMIN]), words="MLflow is starting")
        # nginx answers itself, and does not need MLflow for a token.
        assert front_end.client.ask("/metrics", [bearer(front_end.provider.token())]).status == 404


def test_oauth2_proxy_may_restart() -> None:
    """nginx keeps connections open. After a restart of OAuth2-Proxy they are closed."""
    with site("authentication_oauth2_proxy") as made:
        for _ in range(2):
            with made.run_oauth2_proxy():
                for _ in range(5):
                    assert made.client.ask(API, [bearer(made.provider.token())]).status == 200
