# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The AI gateway: MLflow forwards `Authorization` to the model provider, so it never holds a credential of ours."""

from __future__ import annotations

import pytest

from tests.front_end.client import bearer
from tests.front_end.mlflow_stand_in import basic
from tests.front_end.sign_in import Browser
from tests.front_end.site import Site
from tests.front_end.test_credentials import ADMIN, CONTRACT, contract

PATH = "/gateway/mlflow/v1/chat/completions"
KEY = ("Authorization", "Bearer sk-the-key-of-the-client")


def test_a_token_is_not_forwarded(front_end: Site) -> None:
    token = front_end.provider.token("bob@example.com")
    answer = front_end.client.ask(PATH, [bearer(token)], method="POST", body=b"{}")
    assert answer.document["user"] == "bob@example.com"
    assert "authorization" not in contract(answer)
    assert token not in answer.text


def test_mlflow_gets_the_whole_identity(front_end: Site) -> None:
    answer = front_end.client.ask(PATH, [bearer(front_end.provider.token("alice@example.com"))])
    assert contract(answer) == {
        "x-mlflow-authorization": f"Identity {front_end.secret} alice@example.com",
        "x-mlflow-identity-groups": "team-a,team-b",
        "x-mlflow-identity-domain": "example.com",
        "x-mlflow-identity-method": "bearer",
    }


def test_a_password_is_not_forwarded_in_authorization(front_end: Site) -> None:
    answer = front_end.client.ask(PATH, [ADMIN], method="POST", body=b"{}")
    assert (answer.document["user"], contract(answer)) == ("admin", {"x-mlflow-authorization": ADMIN[1]})


def test_a_client_sends_its_own_key_beside_its_credential(front_end: Site) -> None:
    token = front_end.provider.token("bob@example.com")
    for credential, user in ((f"Bearer {token}", "bob@example.com"), (ADMIN[1], "admin")):
        headers = [KEY, ("X-MLflow-Authorization", credential)]
        answer = front_end.client.ask(PATH, headers, method="POST", body=b"{}")
        assert (answer.document["user"], contract(answer)["authorization"]) == (user, KEY[1])
        assert token not in answer.text
    headers = [("Authorization", basic("another", "password")), ("X-MLflow-Authorization", f"Bearer {token}")]
    answer = front_end.client.ask(PATH, headers, method="POST", body=b"{}")
    assert "authorization" not in contract(answer)


def test_the_session_and_other_headers_are_not_forwarded(front_end: Site) -> None:
    browser = Browser(front_end)
    browser.sign_in("bob@example.com")
    browser.cookies["session"] = "of-mlflow"
    private = [
        ("X-Forwarded-Email", "a@b"),
        ("X-Auth-Request-Email", "a@b"),
        ("Proxy-Authorization", "Basic x"),
        ("Referer", "https://x/"),
    ]
    answer = browser.open(PATH, private)
    assert answer.document["user"] == "bob@example.com"
    names = {name for name, _ in answer.received}
    assert names <= {*CONTRACT, "host", "accept", "user-agent"}
    assert "cookie" not in names


@pytest.mark.parametrize("credential", ["Bearer x", "Basic eDp5", "Identity SECRET bob@example.com", "x"])
def test_a_key_of_a_provider_is_no_credential(front_end: Site, credential: str) -> None:
    assert front_end.client.ask(PATH, [KEY], method="POST", body=b"{}").status == 401
    own = ("X-MLflow-Authorization", credential.replace("SECRET", front_end.secret))
    answer = front_end.client.ask(PATH, [KEY, own], method="POST", body=b"{}")
    assert answer.status == 401
    assert answer.challenges == ['Bearer realm="mlflow"']


@pytest.mark.parametrize(
    "path", ["/%67ateway/mlflow/v1/models", "//gateway/mlflow/v1/models", "/x/../gateway/mlflow/v1/models"]
)
def test_another_spelling_of_the_path_forwards_no_token(front_end: Site, path: str) -> None:
    """nginx and MLflow see the same route, but a rule on the unchanged path does not match."""
    token = front_end.provider.token("bob@example.com")
    headers = [bearer(token), ("X-MLflow-Authorization", "Bearer x")]
    answer = front_end.client.ask(path, headers)
    assert token not in answer.text
    if answer.status == 200:
        assert (answer.document["user"], "authorization" in contract(answer)) == ("bob@example.com", False)


def test_a_path_that_leaves_the_gateway_passes_no_key(front_end: Site) -> None:
    token = front_end.provider.token("bob@example.com")
    answer = front_end.client.ask("/gateway/../version", [KEY, ("X-MLflow-Authorization", f"Bearer {token}")])
    assert (answer.status, "authorization" in contract(answer)) == (200, False)
