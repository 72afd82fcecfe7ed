# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The configuration files of OAuth2-Proxy, and the message about a missing client secret."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import yaml
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _oauth2_proxy_configuration as configuration

SETTINGS: dict[str, Any] = {
    "hostname": "mlflow.example.com",
    "issuer": "https://accounts.google.com",
    "provider": {
        "authorization_endpoint": "https://accounts.google.com/o/oauth2/v2/auth",
        "token_endpoint": "https://oauth2.googleapis.com/token",
        "jwks_uri": "https://www.googleapis.com/oauth2/v3/certs",
        "algorithms": ["RS256"],
    },
    "client_id": "1-a.apps.googleusercontent.com",
    "prompt": "",
    "scopes": ["openid", "email"],
    "groups_claim": "roles",
    "extra_audiences": [],
    "accept_gcloud_audience": False,
    "session_hours": 12,
    "domains": ["example.com"],
    "admins": ["ada@example.com"],
    "service_accounts": ["@my-project.iam.gserviceaccount.com", "ci@other.iam.gserviceaccount.com"],
}


def options(**changed: Any) -> dict[str, Any]:
    return tomllib.loads(configuration.files(SETTINGS | changed)["oauth2-proxy.cfg"])


def structure(**changed: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(configuration.files(SETTINGS | changed)["oauth2-proxy.yaml"])
    return found


def provider(**changed: Any) -> dict[str, Any]:
    (found,) = structure(**changed)["providers"]
    return dict(found)


def test_the_session_cookie_is_short_lived_and_bound_to_the_host() -> None:
    found = options(session_hours=4)
    assert found["cookie_name"].startswith("__Host-")
    assert (found["cookie_secure"], found["cookie_httponly"], found["cookie_path"]) == (True, True, "/")
    assert (found["cookie_samesite"], found["cookie_expire"], found["session_cookie_minimal"]) == ("lax", "4h", True)
    assert found["redirect_url"] == "https://mlflow.example.com/oauth2/callback"


def test_no_request_passes_without_authentication() -> None:
    texts = "\n".join(configuration.files(SETTINGS).values())
    for name in ("skip_auth", "trusted_ips", "ping_user_agent", "extra_jwt_issuers", "whitelist", "htpasswd"):
        assert name not in texts
    assert "*" not in options()["email_domains"]


def test_who_may_sign_in() -> None:
    assert options()["email_domains"] == ["example.com", "my-project.iam.gserviceaccount.com"]
    assert configuration.files(SETTINGS)["addresses"] == "ada@example.com\nci@other.iam.gserviceaccount.com\n"


@pytest.mark.parametrize(
    ("issuer", "given", "sent"),
    [
        ("https://accounts.google.com", "", "select_account"),
        ("https://accounts.google.com", "login", "login"),
        ("https://id.example.com", "", ""),
        ("https://id.example.com", "select_account", "select_account"),
    ],
)
def test_only_google_is_asked_for_the_account(issuer: str, given: str, sent: str) -> None:
    """A certified provider refused each sign-in: unsupported prompt value requested."""
    found = provider(issuer=issuer, prompt=given)["loginURLParameters"]
    assert found == ([{"name": "prompt", "default": [sent]}] if sent else [])


def test_the_provider_is_verified() -> None:
    found = provider()
    assert (found["provider"], found["code_challenge_method"]) == ("oidc", "S256")
    oidc = found["oidcConfig"]
    assert [name for name, value in oidc.items() if name.startswith("insecure") and value is not False] == []
    assert {"insecureSkipNonce", "insecureAllowUnverifiedEmail", "insecureSkipIssuerVerification"} <= set(oidc)
    assert (oidc["enabledSigningAlgs"], oidc["groupsClaim"], oidc["emailClaim"]) == (["RS256"], "roles", "email")
    assert found["skipClaimsFromProfileURL"] is True


def test_the_provider_may_be_away_at_the_start() -> None:
    found = provider()
    assert found["oidcConfig"]["skipDiscovery"] is True
    endpoints = SETTINGS["provider"]
    assert found["loginURL"] == endpoints["authorization_endpoint"]
    assert found["redeemURL"] == endpoints["token_endpoint"]
    assert found["oidcConfig"]["jwksURL"] == endpoints["jwks_uri"]


def test_the_audience_of_gcloud_is_accepted_only_if_allowed() -> None:
    assert provider()["oidcConfig"]["extraAudiences"] == ["https://mlflow.example.com"]
    more = provider(extra_audiences=["2-b"], accept_gcloud_audience=True)["oidcConfig"]["extraAudiences"]
    assert more == ["https://mlflow.example.com", "2-b", configuration.GCLOUD_AUDIENCE]


def test_nginx_gets_the_claims_as_headers() -> None:
    headers = {each["name"]: each["values"][0]["claimSource"]["claim"] for each in structure()["injectResponseHeaders"]}
    assert headers == {
        "X-Auth-Request-Email": "email",
        "X-Auth-Request-Groups": "groups",
        "X-Auth-Request-Hosted-Domain": "hd",
        "X-Auth-Request-Email-Verified": "email_verified",
    }
    assert provider()["additionalClaims"] == ["hd", "email_verified"]


def test_the_files_have_no_secret_and_listen_only_on_the_socket_of_systemd() -> None:
    assert structure()["server"] == {"bindAddress": "fd:3"}
    assert provider()["clientSecretFile"].startswith("${CREDENTIALS_DIRECTORY}/")
    assert "clientSecret" not in provider()
    assert structure()["upstreamConfig"]["upstreams"][0]["staticCode"] == 404


def test_a_value_cannot_end_its_string() -> None:
    assert options(domains=['a"\nskip_auth_routes = ["/"]'])["email_domains"][0] == 'a"\nskip_auth_routes = ["/"]'


@pytest.mark.parametrize(
    ("given", "stored", "message"),
    [
        ("secret", None, ""),
        ("", "stored-secret", ""),
        ("", None, "is not set, and the secret team-client has no value. Create an OAuth client"),
        ("", "", "has no value"),
        (
            "",
            "stored-secret\n",
            "The value of the secret team-client begins or ends with white space, such as a newline",
        ),
    ],
)
def test_a_client_secret_is_required(given: str, stored: str | None, message: str) -> None:
    found = configuration.secret_problem(given, stored=stored, secret="team-client", hostname="mlflow.example.com")
    assert message in found if message else found == ""
    assert "stored-secret" not in found
