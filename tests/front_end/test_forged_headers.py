# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""No header of a client names a person, alone or beside a valid credential, in no spelling."""

from __future__ import annotations

import pytest

from tests.front_end.client import Headers, bearer
from tests.front_end.mlflow_stand_in import basic
from tests.front_end.sign_in import Browser
from tests.front_end.site import Site
from tests.front_end.test_credentials import ADMIN, API, CONTRACT, contract

BOSS = "boss@example.com"
# For the worst case: SECRET is the real secret of the VM.
IDENTITY = f"Identity SECRET {BOSS}"
FORGED: dict[str, tuple[str, str]] = {
    "the header of the contract": ("X-MLflow-Authorization", IDENTITY),
    "small letters": ("x-mlflow-authorization", IDENTITY),
    "capital letters": ("X-MLFLOW-AUTHORIZATION", IDENTITY),
    "underscores": ("X_MLflow_Authorization", IDENTITY),
    "hyphen and underscore": ("X-MLflow_Authorization", IDENTITY),
    "dots": ("X.MLflow.Authorization", IDENTITY),
    "space before the colon": ("X-MLflow-Authorization ", IDENTITY),
    "tab before the colon": ("X-MLflow-Authorization\t", IDENTITY),
    "password of another user": ("X-MLflow-Authorization", basic("admin", "a-long-admin-password")),
    "groups": ("X-MLflow-Identity-Groups", "mlflow-admins"),
    "groups with underscores": ("X_MLflow_Identity_Groups", "mlflow-admins"),
    "domain": ("X-MLflow-Identity-Domain", "example.com"),
    "method": ("X-MLflow-Identity-Method", "cookie"),
    "method with underscores": ("X-MLflow_Identity-Method", "cookie"),
    "header of OAuth2-Proxy": ("X-Auth-Request-Email", BOSS),
    "groups of OAuth2-Proxy": ("X-Auth-Request-Groups", "mlflow-admins"),
    "verified address of OAuth2-Proxy": ("X-Auth-Request-Email-Verified", "true"),
    "forwarded address": ("X-Forwarded-Email", BOSS),
    "forwarded address with underscores": ("X_Forwarded_Email", BOSS),
    "forwarded user": ("X-Forwarded-User", BOSS),
    "forwarded access token": ("X-Forwarded-Access-Token", "token"),
    "header of IAP": ("X-Goog-Authenticated-User-Email", f"accounts.google.com:{BOSS}"),
    "assertion of IAP": ("X-Goog-IAP-JWT-Assertion", "a.b.c"),
    "header of web servers": ("Remote-User", BOSS),
    "redirection": ("X-Auth-Request-Redirect", "https://evil.example/"),
    "original URL": ("X-Forwarded-Uri", "/health"),
    "original method": ("X-HTTP-Method-Override", "OPTIONS"),
}
GATEWAY = "/gateway/x/mlflow/invocations"
PATHS = [API, GATEWAY, "/api/3.0/mlflow/server-info", "/graphql"]
# On the routes of the gateway this header holds the credential of the client, which is checked.
OWN_HEADER = "x-mlflow-authorization"
CASES = [(case, path) for case in FORGED for path in PATHS if path != GATEWAY or FORGED[case][0].lower() != OWN_HEADER]


def forged(site: Site, case: str) -> tuple[str, str]:
    """Return the forged header."""
    name, value = FORGED[case]
    return name, value.replace("SECRET", site.secret)


def ask(site: Site, path: str, headers: Headers) -> tuple[int, dict[str, str]]:
    """Send a request. Return the status, and the headers of the contract that MLflow received."""
    site.mlflow.requests.clear()
    answer = site.client.ask(path, headers, method="POST" if path == "/graphql" else "GET")
    served = [request for request in site.mlflow.requests if request["path"] == path]
    if not served:
        return answer.status, {}
    received = contract(answer)
    # In no spelling: WSGI reads X_Name as X-Name.
    spellings = [name for name, _ in answer.received if name.translate({95: 45, 46: 45}).strip() in CONTRACT]
    assert sorted(spellings) == sorted(received)
    return answer.status, received


@pytest.mark.parametrize(("case", "path"), CASES)
def test_a_forged_header_is_no_credential(front_end: Site, case: str, path: str) -> None:
    status, received = ask(front_end, path, [forged(front_end, case)])
    # 400: nginx does not accept the request.
    assert status in (400, 401), case
    assert received == {}


@pytest.mark.parametrize(("case", "path"), CASES)
def test_a_forged_header_does_not_change_a_valid_credential(front_end: Site, case: str, path: str) -> None:
    token = bearer(front_end.provider.token("bob@example.com"))
    header = forged(front_end, case)
    for credential in (ADMIN, token):
        expected = ask(front_end, path, [credential])
        assert expected[0] == 200
        for headers in ([credential, header], [header, credential], [header, credential, header]):
            found = ask(front_end, path, headers)
            assert found == expected or found[0] == 400, (case, found)


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_header_does_not_change_a_session(front_end: Site, case: str, session: Browser) -> None:
    answer = session.open(API, [forged(front_end, case)])
    if answer.status != 400:
        assert answer.document["user"] == "bob@example.com"
        assert contract(answer) == {
            "x-mlflow-authorization": f"Identity {front_end.secret} bob@example.com",
            "x-mlflow-identity-domain": "example.com",
            "x-mlflow-identity-method": "cookie",
        }


@pytest.fixture(scope="module")
def session(running_front_end: Site) -> Browser:
    """Return a browser that bob signed in with."""
    browser = Browser(running_front_end)
    browser.sign_in("bob@example.com")
    return browser


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_header_does_not_open_a_closed_route(front_end: Site, case: str) -> None:
    assert front_end.client.ask("/metrics", [forged(front_end, case)]).status in (400, 401)


def test_an_identity_in_authorization_is_no_credential(front_end: Site) -> None:
    for value in (IDENTITY, IDENTITY.lower()):
        header = ("Authorization", value.replace("SECRET", front_end.secret))
        assert front_end.client.ask(API, [header]).status == 401
    assert front_end.mlflow.requests == []


def test_public_routes_pass_no_forged_identity(front_end: Site) -> None:
    for case in FORGED:
        answer = front_end.client.ask("/health", [forged(front_end, case)])
        assert answer.status == 400 or contract(answer) == {}, case
