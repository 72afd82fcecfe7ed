# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""accounts.google.com: a person signs in, and the client gets the tokens of Google's form."""

from __future__ import annotations

import base64
import hashlib
import time
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
import requests
from google.auth.transport.requests import Request
from google.oauth2 import id_token
from google_auth_oauthlib.flow import Flow

from localcloud.commands.env import variables
from tests.localcloud.harness import PLATFORM, Local
from tests.localcloud.sign_in import CALLBACK, TOKEN, Client, Person, query, session

ISSUER = "https://accounts.google.com"
EMAIL = "https://www.googleapis.com/auth/userinfo.email"
PROFILE = "https://www.googleapis.com/auth/userinfo.profile"
VERIFIER = "a-verifier-of-at-least-forty-three-characters"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def client(local: Local) -> Client:
    return Client.register(local)


def verified(local: Local, token: str, audience: str) -> dict[str, Any]:
    """Verify an ID token with Google's library, which fetches the keys from www.googleapis.com."""
    claims: dict[str, Any] = id_token.verify_oauth2_token(token, Request(session(local)), audience)
    return claims


def set_user(local: Local, email: str, verb: str = "PUT", code: int = 200, **fields: Any) -> Any:
    answer = requests.request(verb, f"{local.url}/localcloud/users/{email}", json=fields, timeout=10)
    assert answer.status_code == code, answer.text
    return answer.json()


def test_discovery(local: Local) -> None:
    document = session(local).get(f"{ISSUER}/.well-known/openid-configuration", timeout=10).json()
    assert document["issuer"] == ISSUER
    assert document["authorization_endpoint"] == "https://accounts.google.com/o/oauth2/v2/auth"
    assert document["token_endpoint"] == "https://oauth2.googleapis.com/token"
    assert document["code_challenge_methods_supported"] == ["plain", "S256"]
    # Each endpoint exists. Without parameters all of them refuse the request, but no answer is "not found".
    for name in ("authorization_endpoint", "userinfo_endpoint", "jwks_uri"):
        assert session(local).get(document[name], timeout=10).status_code in (200, 400, 401), name
    for name in ("token_endpoint", "revocation_endpoint", "device_authorization_endpoint"):
        assert session(local).post(document[name], timeout=10).status_code in (400, 501), name


def test_the_host_that_replaces_googles(local: Local, client: Client) -> None:
    """The environment sets gcloud's property auth/auth_host. Clients may replace only scheme and host of a URL."""
    host = urlsplit(variables(local.settings)["CLOUDSDK_AUTH_AUTH_HOST"])
    assert host.netloc == f"127.0.0.1:{local.port}"
    document = requests.get(host._replace(path="/.well-known/openid-configuration").geturl(), timeout=10).json()
    assert document["issuer"] == ISSUER
    page = requests.get(host._replace(query=urlsplit(client.url()).query).geturl(), timeout=10)
    assert page.status_code == 200
    assert "ada@example.com" in page.text


def test_googles_library_signs_a_person_in(local: Local, client: Client) -> None:
    """The flow of google-auth-oauthlib: state, PKCE with S256, an offline token. The names and keys are Google's."""
    scopes = ["openid", EMAIL, PROFILE]
    config = {
        "client_id": client.id,
        "client_secret": client.secret,
        "token_uri": TOKEN,
        "auth_uri": f"{ISSUER}/o/oauth2/auth",
    }
    flow = Flow.from_client_config({"web": config}, scopes, redirect_uri=CALLBACK, autogenerate_code_verifier=True)
    flow.oauth2session.mount("https://", session(local).get_adapter("https://"))
    url, state = flow.authorization_url(access_type="offline", nonce="n-1")
    assert "code_challenge_method=S256" in url
    location = Person(local).choose(url, "ada@example.com")
    assert (query(location)["state"], query(location)["hd"]) == (state, "example.com")
    flow.fetch_token(authorization_response=location)
    found = flow.credentials
    claims = verified(local, found.id_token, client.id)
    assert (claims["iss"], claims["aud"], claims["azp"], claims["nonce"]) == (ISSUER, client.id, client.id, "n-1")
    assert (claims["email"], claims["email_verified"], claims["hd"]) == ("ada@example.com", True, "example.com")
    assert (claims["name"], claims["given_name"], claims["family_name"]) == ("Ada Lovelace", "Ada", "Lovelace")
    assert len(claims["sub"]) == 21
    assert claims["sub"].isdigit()
    assert claims["exp"] - claims["iat"] == 3600
    # The hash of the access token beside it.
    half = hashlib.sha256(found.token.encode()).digest()[:16]
    assert claims["at_hash"] == base64.urlsafe_b64encode(half).rstrip(b"=").decode()
    before = found.token
    found.refresh(Request(session(local)))
    assert found.token != before
    renewed = verified(local, found.id_token, client.id)
    assert renewed["sub"] == claims["sub"]
    assert "nonce" not in renewed


def test_the_answer_of_the_token_endpoint(client: Client) -> None:
    answer = client.exchange(client.code())
    assert answer.headers["Cache-Control"] == "no-store"
    document = answer.json()
    assert {name: document[name] for name in ("expires_in", "scope", "token_type")} == {
        "expires_in": 3599,
        "scope": f"openid {EMAIL} {PROFILE}",
        "token_type": "Bearer",
    }
    assert "refresh_token" not in document


@pytest.mark.parametrize(
    ("email", "claims"),
    [
        ("grace@example.com", {"hd": "example.com", "email_verified": True}),
        ("alan@example.org", {"hd": "example.org", "email_verified": True}),
        ("linus@example.com", {"hd": None, "email_verified": True}),
        ("mallory@example.com", {"hd": None, "email_verified": False}),
        ("joan@gmail.com", {"hd": None, "email_verified": True}),
    ],
)
def test_the_default_accounts(local: Local, client: Client, email: str, claims: dict[str, Any]) -> None:
    tokens = client.exchange(client.code(email)).json()
    token = verified(local, tokens["id_token"], client.id)
    assert token["email"] == email
    assert {name: token.get(name) for name in claims} == claims
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    info = session(local).get("https://openidconnect.googleapis.com/v1/userinfo", headers=headers, timeout=10).json()
    names = ("sub", "email", "email_verified", "hd", "name", "given_name", "family_name")
    assert info == {name: token[name] for name in names if name in token}


def test_scopes_limit_the_claims(local: Local, client: Client) -> None:
    tokens = client.exchange(client.code(scope="openid")).json()
    claims = verified(local, tokens["id_token"], client.id)
    assert set(claims) == {"iss", "azp", "aud", "sub", "hd", "at_hash", "iat", "exp"}
    tokens = client.exchange(client.code(scope=f"email {PLATFORM}")).json()
    assert "id_token" not in tokens
    assert tokens["scope"] == f"{EMAIL} {PLATFORM}"
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    info = session(local).get("https://openidconnect.googleapis.com/v1/userinfo", headers=headers, timeout=10).json()
    assert "name" not in info
    assert info["email"] == "ada@example.com"
    older = session(local).get("https://www.googleapis.com/oauth2/v2/userinfo", headers=headers, timeout=10).json()
    assert (older["id"], older["email"], older["verified_email"]) == (info["sub"], "ada@example.com", True)
    url = "https://oauth2.googleapis.com/tokeninfo"
    told = session(local).get(url, params={"access_token": tokens["access_token"]}, timeout=10).json()
    assert (told["aud"], told["sub"], told["email_verified"]) == (client.id, info["sub"], "true")


def test_userinfo_needs_a_token(local: Local) -> None:
    url = "https://openidconnect.googleapis.com/v1/userinfo"
    assert session(local).get(url, timeout=10).status_code == 401
    answer = session(local).get(url, headers={"Authorization": "Bearer x"}, timeout=10)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="https://accounts.google.com/"')


# -- PKCE


@pytest.mark.parametrize(("challenge", "method"), [(CHALLENGE, "S256"), (VERIFIER, "plain"), (VERIFIER, None)], ids=str)
def test_pkce(client: Client, challenge: str, method: str | None) -> None:
    asked = {"code_challenge": challenge, "code_challenge_method": method}
    wrong: list[tuple[str | None, str]] = [
        (None, "Missing code verifier."),
        (VERIFIER + "x", "Invalid code verifier."),
        ("short", "Invalid code verifier."),
    ]
    for verifier, message in wrong:
        answer = client.exchange(client.code(**asked), code_verifier=verifier)
        assert (answer.status_code, answer.json()) == (400, {"error": "invalid_grant", "error_description": message})
    assert client.exchange(client.code(**asked), code_verifier=VERIFIER).status_code == 200


def test_the_challenge_is_not_the_verifier(client: Client) -> None:
    code = client.code(code_challenge=CHALLENGE, code_challenge_method="S256")
    assert client.exchange(code, code_verifier=CHALLENGE).json()["error"] == "invalid_grant"


def test_a_verifier_has_at_least_43_characters(client: Client) -> None:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(b"short").digest()).rstrip(b"=").decode()
    code = client.code(code_challenge=challenge, code_challenge_method="S256")
    assert client.exchange(code, code_verifier="short").json()["error_description"] == "Invalid code verifier."


def test_a_verifier_without_a_challenge(client: Client) -> None:
    answer = client.exchange(client.code(), code_verifier=VERIFIER)
    assert answer.json()["error_description"] == "code_verifier or verifier is not needed."


# -- codes


def test_a_code_is_valid_once(client: Client) -> None:
    code = client.code()
    assert client.exchange(code).status_code == 200
    refused = {"error": "invalid_grant", "error_description": "Bad Request"}
    assert (client.exchange(code).status_code, client.exchange(code).json()) == (400, refused)
    # Also after a failure.
    code = client.code()
    assert client.exchange(code, redirect_uri=CALLBACK + "/").json()["error"] == "redirect_uri_mismatch"
    assert client.exchange(code).json() == refused


def test_a_code_expires(local: Local, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    codes, now = [client.code(), client.code()], time.time()
    monkeypatch.setattr(local.cloud.clock, "time", lambda: now + 590)
    assert client.exchange(codes[0]).status_code == 200
    monkeypatch.setattr(local.cloud.clock, "time", lambda: now + 610)
    assert client.exchange(codes[1]).json() == {"error": "invalid_grant", "error_description": "Bad Request"}


def test_a_code_belongs_to_its_client(local: Local, client: Client) -> None:
    other = Client.register(local, "other")
    code = client.code()
    answer = other.exchange(code)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    # The attempt of a stranger does not use up the code.
    assert client.exchange(code).status_code == 200


@pytest.mark.parametrize(
    ("changes", "status", "error", "description"),
    [
        ({"code": "nonsense"}, 400, "invalid_grant", "Malformed auth code."),
        ({"code": None}, 400, "invalid_request", "Missing required parameter: code"),
        ({"redirect_uri": None}, 400, "invalid_request", "Missing required parameter: redirect_uri"),
        ({"client_id": None}, 400, "invalid_request", "Could not determine client ID from request."),
        ({"client_id": "1-x.apps.googleusercontent.com"}, 401, "invalid_client", "The OAuth client was not found."),
        ({"client_secret": None}, 400, "invalid_request", "client_secret is missing."),
        ({"client_secret": "GOCSPX-wrong"}, 401, "invalid_client", "Unauthorized"),
        ({"client_secret": "é"}, 401, "invalid_client", "Unauthorized"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", "Invalid grant_type: password"),
    ],
)
def test_refused_exchanges(
    client: Client, changes: dict[str, str | None], status: int, error: str, description: str
) -> None:
    answer = client.post(**{"code": "4/0A", "redirect_uri": CALLBACK, "grant_type": "authorization_code"} | changes)
    assert answer.status_code == status
    assert answer.json() == {"error": error, "error_description": description}


def test_the_secret_in_the_header(local: Local, client: Client) -> None:
    form = {"code": client.code(), "redirect_uri": CALLBACK, "grant_type": "authorization_code"}
    wrong = session(local).post(TOKEN, form, auth=(client.id, "wrong"), timeout=10)
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    broken = session(local).post(TOKEN, form, headers={"Authorization": "Basic %"}, timeout=10)
    assert broken.json()["error"] == "invalid_client"
    assert session(local).post(TOKEN, form, auth=(client.id, client.secret), timeout=10).status_code == 200


def test_a_repeated_parameter(local: Local, client: Client) -> None:
    url = f"{client.url()}&client_id={client.id}"
    answer = Person(local).get(url)
    assert answer.status_code == 400
    assert "OAuth 2 parameters can only have a single value: client_id" in answer.text
    form = [("grant_type", "refresh_token"), ("grant_type", "authorization_code")]
    answer = session(local).post(TOKEN, form, timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


# -- refresh and revocation


def test_offline_access(client: Client) -> None:
    """As at Google, a web client gets a refresh token at the first consent, and later only with prompt=consent."""
    assert "refresh_token" not in client.exchange(client.code()).json()
    first = client.exchange(client.code(access_type="offline")).json()["refresh_token"]
    assert "refresh_token" not in client.exchange(client.code(access_type="offline")).json()
    assert "refresh_token" in client.exchange(client.code("grace@example.com", access_type="offline")).json()
    again = client.exchange(client.code(access_type="offline", prompt="consent")).json()["refresh_token"]
    assert again != first
    for token in (first, again):
        assert client.refresh(token).json()["scope"] == f"openid {EMAIL} {PROFILE}"


def test_refused_refreshes(local: Local, client: Client) -> None:
    token = client.exchange(client.code(access_type="offline")).json()["refresh_token"]
    unknown = client.refresh("1//0unknown")
    assert unknown.status_code == 400
    assert unknown.json() == {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
    foreign = Client.register(local, "other").refresh(token)
    assert (foreign.status_code, foreign.json()["error"]) == (401, "unauthorized_client")
    assert client.refresh(token, scope=f"openid {PLATFORM}").json()["error"] == "invalid_scope"
    assert client.refresh(token, client_secret="wrong").json()["error"] == "invalid_client"
    narrow = client.refresh(token, scope="openid").json()
    assert set(verified(local, narrow["id_token"], client.id)).isdisjoint({"email", "name"})


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_revocation(local: Local, client: Client, kind: str) -> None:
    """The tokens of the same person for the same client are revoked with it."""
    tokens = client.exchange(client.code(access_type="offline")).json()
    others = client.exchange(client.code("grace@example.com", access_type="offline")).json()
    revoke = "https://oauth2.googleapis.com/revoke"
    assert session(local).post(revoke, {"token": tokens[kind]}, timeout=10).status_code == 200
    assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    userinfo = "https://openidconnect.googleapis.com/v1/userinfo"
    assert session(local).get(userinfo, headers=headers, timeout=10).status_code == 401
    again = session(local).post(revoke, {"token": tokens[kind]}, timeout=10)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_token")
    assert client.refresh(others["refresh_token"]).status_code == 200


# -- users


def test_a_removed_user(local: Local, client: Client) -> None:
    person, url = Person(local), client.url(access_type="offline")
    form = person.open(url)
    tokens = client.exchange(query(person.press(url, form, "account", "ada@example.com"))["code"]).json()
    code = client.code()
    old = verified(local, tokens["id_token"], client.id)["sub"]
    set_user(local, "ada@example.com", "DELETE")
    # The page was open before.
    refused = query(person.press(url, form, "account", "ada@example.com"))
    assert refused == {"state": "s", "error": "access_denied"}
    assert "ada@example.com" not in person.open(url).accounts
    assert client.exchange(code).json()["error"] == "invalid_grant"
    assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    userinfo = "https://openidconnect.googleapis.com/v1/userinfo"
    assert session(local).get(userinfo, headers=headers, timeout=10).status_code == 401
    # A new account with the address is another person.
    set_user(local, "ada@example.com")
    assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert verified(local, client.exchange(client.code()).json()["id_token"], client.id)["sub"] != old


def test_a_removed_default_account_stays_away(local: Local) -> None:
    set_user(local, "joan@gmail.com", "DELETE")
    local.restart()
    emails = [user["email"] for user in local.session().call("GET", "/localcloud/users")["users"]]
    assert "joan@gmail.com" not in emails
    assert "ada@example.com" in emails
    assert set_user(local, "joan@gmail.com", "DELETE", 400) == {"error": "there is no user joan@gmail.com"}


def test_a_new_user(local: Local, client: Client) -> None:
    made = set_user(local, "Mary@Example.net", name="Mary Allen Wilkes", hosted_domain="example.net")
    assert made["email"] == "mary@example.net"
    claims = verified(local, client.exchange(client.code("mary@example.net")).json()["id_token"], client.id)
    assert (claims["hd"], claims["given_name"], claims["family_name"]) == ("example.net", "Mary", "Allen Wilkes")
    changed = set_user(local, "mary@example.net", email_verified=False)
    assert changed == made | {"email_verified": False}


@pytest.mark.parametrize(
    ("email", "fields", "message"),
    [
        ("robot@p.iam.gserviceaccount.com", {}, "is not the address of a user"),
        ("ada", {}, "is not the address of a user"),
        ("a@example.com", {"verified": True}, "verified is no field of a user"),
        ("a@example.com", {"email_verified": "yes"}, "a value of a wrong type"),
        ("a@example.com", {"hosted_domain": "example"}, "is not a domain such as example.com"),
    ],
)
def test_refused_users(local: Local, email: str, fields: dict[str, Any], message: str) -> None:
    assert message in set_user(local, email, "PUT", 400, **fields)["error"]


# -- ID tokens


def test_the_lifetime_of_id_tokens_is_a_switch(local: Local, client: Client) -> None:
    local.session().call("PUT", "/localcloud/profile", json={"id_token": 60})
    email = local.account("robot")
    for token in (client.exchange(client.code()).json()["id_token"], local.cloud.auth.issue_id_token(email, "x")):
        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims["exp"] - claims["iat"] == 60
    local.session().call("PUT", "/localcloud/profile", 400, json={"id_token": 0})


def test_an_id_token_expires_by_the_clock(local: Local, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(local.cloud.clock, "time", lambda: now - 3700)
    token = client.exchange(client.code()).json()["id_token"]
    with pytest.raises(ValueError, match="Token expired"):
        verified(local, token, client.id)


def test_the_key_of_all_id_tokens(local: Local, client: Client) -> None:
    """The metadata server and IAM Credentials issue their tokens with the same function."""
    person = client.exchange(client.code()).json()["id_token"]
    robot = local.cloud.auth.issue_id_token(local.account("robot"), client.id)
    assert jwt.get_unverified_header(person) == jwt.get_unverified_header(robot)
    assert verified(local, robot, client.id)["iss"] == ISSUER
    with pytest.raises(ValueError, match="wrong audience"):
        verified(local, person, "https://mlflow.example.com")
