# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Which credentials reach MLflow, and as what. All other requests get 401 from nginx."""

from __future__ import annotations

import pytest

from tests.front_end.client import Answer, Headers, bearer, cookie
from tests.front_end.mlflow_stand_in import basic
from tests.front_end.sign_in import NAVIGATION, Browser
from tests.front_end.site import EXTRA_AUDIENCE, SERVICE_ACCOUNTS, Site

API = "/api/2.0/mlflow/runs/get?run_id=1"
ADMIN = ("Authorization", basic("admin", "a-long-admin-password"))
ROBOT = f"ci@{SERVICE_ACCOUNTS}"
CHALLENGE = ['Bearer realm="mlflow"']
CONTRACT = (
    "authorization",
    "cookie",
    "x-mlflow-authorization",
    "x-mlflow-identity-groups",
    "x-mlflow-identity-domain",
    "x-mlflow-identity-method",
)


def contract(answer: Answer) -> dict[str, str]:
    """Return the headers of the contract with MLflow that MLflow received. Each may be sent once."""
    found = [(name, value) for name, value in answer.received if name in CONTRACT]
    assert len(found) == len(dict(found)), found
    return dict(found)


def assert_unauthenticated(site: Site, answer: Answer) -> None:
    """Assert that a program gets 401 in the form of MLflow, and that MLflow did not see the request."""
    assert answer.status == 401, answer.text
    assert answer.document["error_code"] == "UNAUTHENTICATED"
    assert answer.challenges == CHALLENGE
    assert "Location" not in answer.headers
    assert "Set-Cookie" not in answer.headers
    assert site.mlflow.requests == []


PROGRAMS: dict[str, tuple[str, Headers]] = {
    "MLflow's client": ("GET", [("Accept", "*/*")]),
    "a program without headers": ("GET", []),
    "a script of a page": ("GET", [("Accept", "application/json"), ("Sec-Fetch-Mode", "cors")]),
    "a script that asks for HTML": ("GET", [("Accept", "text/html"), ("Sec-Fetch-Mode", "cors")]),
    "a form": ("POST", [("Accept", "text/html")]),
    "an upload": ("PUT", []),
    "HEAD": ("HEAD", NAVIGATION),
}


@pytest.mark.parametrize("case", PROGRAMS)
@pytest.mark.parametrize(
    "path", [API, "/", "/ajax-api/2.0/mlflow/users/current", "/metrics", "/gateway/x/mlflow/invocations"]
)
def test_programs_without_a_credential_get_an_error_of_mlflow(front_end: Site, case: str, path: str) -> None:
    method, headers = PROGRAMS[case]
    answer = front_end.client.ask(path, headers, method=method)
    if method == "HEAD":
        assert (answer.status, answer.challenges) == (401, CHALLENGE)
    else:
        assert_unauthenticated(front_end, answer)


@pytest.mark.parametrize("headers", [NAVIGATION, [("Accept", "text/html")]])
@pytest.mark.parametrize("path", ["/", "/get-artifact?path=a|b&run_uuid=1", "/metrics"])
def test_a_browser_without_a_session_gets_a_page(front_end: Site, path: str, headers: Headers) -> None:
    answer = front_end.client.ask(path, headers)
    assert (answer.status, answer.headers["Content-Type"]) == (401, "text/html")
    assert "Location" not in answer.headers
    assert "location.pathname + location.search + location.hash" in answer.text
    policy = answer.headers["Content-Security-Policy"]
    nonce = answer.text.split('nonce="')[1].split('"')[0]
    assert policy.startswith(f"default-src 'none'; script-src 'nonce-{nonce}'; frame-ancestors 'none'")
    assert answer.headers["Strict-Transport-Security"]
    again = front_end.client.ask(path, headers)
    assert nonce not in again.text
    assert front_end.mlflow.requests == []


@pytest.mark.parametrize(
    "audience", ["mlflow-client", EXTRA_AUDIENCE, [EXTRA_AUDIENCE, "another"], "https://mlflow.test"]
)
@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  "])
def test_a_person_with_a_token(front_end: Site, scheme: str, audience: object) -> None:
    token = front_end.provider.token("alice@example.com", aud=audience)
    answer = front_end.client.ask(API, [("Authorization", scheme + token)])
    assert answer.status == 200, answer.text
    assert contract(answer) == {
        "x-mlflow-authorization": f"Identity {front_end.secret} alice@example.com",
        "x-mlflow-identity-groups": "team-a,team-b",
        "x-mlflow-identity-domain": "example.com",
        "x-mlflow-identity-method": "bearer",
    }
    assert token not in answer.text


def test_a_service_account_with_a_token(front_end: Site) -> None:
    token = front_end.provider.token(ROBOT, aud=EXTRA_AUDIENCE, hd=None)
    answer = front_end.client.ask(API, [bearer(token)])
    assert contract(answer) == {
        "x-mlflow-authorization": f"Identity {front_end.secret} {ROBOT}",
        "x-mlflow-identity-method": "bearer",
    }


@pytest.mark.parametrize("path", [API, "/metrics", "/gateway/x/mlflow/invocations", "/ajax-api/3.0/mlflow/server-info"])
def test_forged_tokens_are_refused_at_once(front_end: Site, path: str) -> None:
    for attack, token in front_end.provider.forged_tokens().items():
        answer = front_end.client.ask(path, [bearer(token)])
        assert answer.status == 401, attack
        assert_unauthenticated(front_end, answer)


@pytest.mark.parametrize(
    "claims",
    [{"email": None, "email_verified": None}, {"email_verified": None}, {"email": "alice@example.com x@example.com"}],
)
def test_an_address_that_the_provider_did_not_verify_is_no_identity(front_end: Site, claims: dict[str, object]) -> None:
    """OAuth2-Proxy would take the claim `sub` for the address, and accept an address without `email_verified`."""
    token = front_end.provider.token("alice@example.com", sub="boss@example.com", **claims)
    answer = front_end.client.ask(API, [bearer(token)])
    assert (answer.status, answer.challenges) == (401, CHALLENGE)
    for request in front_end.mlflow.requests:
        names = {name.lower() for name, _ in request["headers"]}
        assert not names & set(CONTRACT)


def test_a_name_and_password_are_checked_by_mlflow(front_end: Site) -> None:
    for credential in (ADMIN[1], ADMIN[1].replace("Basic", "bAsIc")):
        answer = front_end.client.ask(API, [("Authorization", credential)])
        assert (answer.status, answer.document["user"]) == (200, "admin")
        assert contract(answer) == {"x-mlflow-authorization": credential}


def test_a_wrong_password_has_the_same_challenge_as_no_password(front_end: Site) -> None:
    """A browser opens a dialogue for the challenge Basic."""
    wrong = ("Authorization", basic("admin", "wrong"))
    for path in (API, "/metrics"):
        answer = front_end.client.ask(path, [wrong])
        assert (answer.status, answer.challenges) == (401, CHALLENGE)
    assert len(front_end.mlflow.requests) == 2
    # Other applications in the place of MLflow's answer with Basic.
    front_end.mlflow.challenge = 'Basic realm="mlflow"'
    try:
        assert front_end.client.ask(API, [wrong]).challenges == CHALLENGE
    finally:
        front_end.mlflow.challenge = CHALLENGE[0]


@pytest.mark.parametrize(
    "value", ["Basic", "basic", "Basic ", "Bearer", "Bearer a b", "Digest x", "Negotiate x", "x", "Identity x y"]
)
def test_other_credentials_are_refused(front_end: Site, value: str) -> None:
    """Also beside a session: a client that sends a credential does not become the person of the cookie."""
    assert_unauthenticated(front_end, front_end.client.ask(API, [("Authorization", value)]))
    browser = Browser(front_end)
    browser.sign_in("bob@example.com")
    assert_unauthenticated(front_end, browser.open(API, [("Authorization", value)]))


@pytest.mark.parametrize("value", ["Basic !!!", "Basic AAAA", "Basic " + "QQ" * 3000])
def test_mlflow_refuses_malformed_passwords(front_end: Site, value: str) -> None:
    answer = front_end.client.ask(API, [("Authorization", value)])
    assert (answer.status, answer.challenges) == (401, CHALLENGE)


def test_two_credentials_are_refused(front_end: Site) -> None:
    token = bearer(front_end.provider.token())
    for headers in ([ADMIN, token], [token, ADMIN], [token, token], [ADMIN, ADMIN]):
        assert front_end.client.ask(API, headers).status == 400
    assert front_end.mlflow.requests == []


def test_a_token_is_checked_and_not_the_cookie_beside_it(front_end: Site) -> None:
    """OAuth2-Proxy accepts the cookie if the token is not valid."""
    browser = Browser(front_end)
    browser.sign_in("bob@example.com")
    good = browser.open(API, [bearer(front_end.provider.token("alice@example.com"))])
    assert good.document["user"] == "alice@example.com"
    front_end.mlflow.requests.clear()
    for token in front_end.provider.forged_tokens().values():
        assert_unauthenticated(front_end, browser.open(API, [bearer(token)]))


def test_a_password_beside_a_cookie_is_checked(front_end: Site) -> None:
    browser = Browser(front_end)
    browser.sign_in("bob@example.com")
    assert browser.open(API, [ADMIN]).document["user"] == "admin"
    assert browser.open(API, [("Authorization", basic("admin", "wrong"))]).status == 401


def test_only_the_cookie_of_mlflow_reaches_mlflow(front_end: Site) -> None:
    browser = Browser(front_end)
    browser.sign_in("bob@example.com")
    browser.cookies |= {"session": "of-mlflow", "tracker": "1"}
    assert contract(browser.open(API, []))["cookie"] == "session=of-mlflow"
    del browser.cookies["session"]
    assert "cookie" not in contract(browser.open(API, []))


def test_closed_routes_require_a_valid_credential(front_end: Site) -> None:
    token = front_end.provider.token()
    closed = {
        "/metrics": 404,
        "/ajax-api/3.0/mlflow/assistant/config": 404,
    }
    for path, status in closed.items():
        for headers in ([ADMIN], [bearer(token)]):
            assert front_end.client.ask(path, headers).status == status
        for value in (basic("admin", "wrong"), "Basic !!!", "Bearer x"):
            assert front_end.client.ask(path, [("Authorization", value)]).status == 401
    # MLflow decides about the password, and nginx never asks MLflow about a token.
    assert {request["path"] for request in front_end.mlflow.requests} == {"/version"}
    assert "bearer" not in str(front_end.mlflow.requests).lower()


def test_a_route_that_mlflow_does_not_check_gets_the_identity(front_end: Site) -> None:
    answer = front_end.client.ask("/api/3.0/mlflow/server-info", [bearer(front_end.provider.token())])
    assert (answer.status, answer.document["user"]) == (200, "alice@example.com")
    answer = front_end.client.ask("/api/3.0/mlflow/server-info", [ADMIN])
    assert (answer.status, answer.document["user"]) == (200, "admin")


@pytest.mark.parametrize("path", ["/health", "/static-files/static/js/main.js", "/favicon.ico"])
def test_the_health_check_and_the_files_of_the_release_are_public(front_end: Site, path: str) -> None:
    answer = front_end.client.ask(path, [("Cookie", "a=b")])
    assert (answer.status, contract(answer)) == (200, {})


@pytest.mark.parametrize(
    "path",
    [
        "/static-files/../api/2.0/x",
        "/static-files/%2e%2e/version",
        "/static-files",
        "/healthz",
        "//health/x",
        "/oauth2",
    ],
)
def test_paths_that_only_look_public_require_a_credential(front_end: Site, path: str) -> None:
    assert front_end.client.ask(path).status == 401


def test_a_token_of_40_kb_and_1000_groups_work(front_end: Site) -> None:
    groups = [f"group-{number:04}@example.com" for number in range(1000)]
    token = front_end.provider.token(groups=groups)
    answer = front_end.client.ask(API, [bearer(token)])
    assert answer.status == 200, front_end.log("error.log")[-500:]
    assert contract(answer)["x-mlflow-identity-groups"] == ",".join(groups)


def test_a_limit_for_wrong_passwords_is_passed_on(front_end: Site) -> None:
    front_end.mlflow.limited = True
    try:
        for path in (API, "/metrics"):
            answer = front_end.client.ask(path, [("Authorization", basic("admin", "wrong"))])
            assert (answer.status, answer.headers.get_all("Retry-After")) == (429, ["7"])
    finally:
        front_end.mlflow.limited = False


def test_uploads_are_streamed_with_every_credential(front_end: Site) -> None:
    """nginx must not read the body for the subrequest."""
    browser = Browser(front_end)
    browser.sign_in("bob@example.com")
    body, path = b"x" * 8_000_000, "/api/2.0/mlflow-artifacts/artifacts/0/model"
    for headers in ([ADMIN], [bearer(front_end.provider.token())], [cookie(browser.cookies.items())]):
        answer = front_end.client.ask(path, headers, method="PUT", body=body)
        assert (answer.status, answer.document["length"]) == (200, len(body))
        chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:3_000_000], body[:1])) + b"0\r\n\r\n"
        sent = [*headers, ("Transfer-Encoding", "chunked")]
        answer = front_end.client.ask(path, sent, method="PUT", body=chunked)
        assert (answer.status, answer.document["length"]) == (200, 3_000_001)
    front_end.mlflow.requests.clear()
    assert_unauthenticated(front_end, front_end.client.ask(path, [], method="PUT", body=body))
    assert not [path for folder in ("body", "proxy") for path in (front_end.root / folder).rglob("*") if path.is_file()]


def test_nginx_reports_no_problem_with_the_configuration(front_end: Site) -> None:
    started = front_end.log("error.log").partition("start worker process ")[0]
    assert "using the" in started
    assert not [line for line in started.splitlines() if "[notice]" not in line]
    assert front_end.log("nginx.log") == ""
    assert "uninitialized" not in front_end.log("error.log")
