# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Role variables that change the configuration."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._oauth2_proxy_configuration import GCLOUD_AUDIENCE

from tests.front_end.client import bearer
from tests.front_end.identity_provider import CLIENT_ID
from tests.front_end.sign_in import NAVIGATION, Browser
from tests.front_end.site import site
from tests.front_end.test_credentials import ADMIN, API

OTHER = {
    "nginx_content_security_policy": "",
    "nginx_hsts_seconds": 0,
    "nginx_gateway_headers": ["X-Team"],
    "authentication_oauth2_proxy_require_verified_email": False,
}


def test_a_provider_without_the_claim_for_verified_addresses() -> None:
    with site("authentication_oauth2_proxy", **OTHER) as made, made.run_oauth2_proxy():

        def user(**claims: object) -> str:
            answer = made.client.ask(API, [bearer(made.provider.token("alice@example.com", **claims))])
            return str(answer.document.get("user", ""))

        assert user(email_verified=None) == "alice@example.com"
        assert user() == "alice@example.com"
        # A provider that sends the claim is believed.
        assert user(email_verified=False) == ""
        # Without an address there is no identity.
        assert user(email=None, email_verified=None, sub="alice") == ""
        page = made.client.ask("/", NAVIGATION)
        assert (page.status, "Content-Security-Policy" in page.headers) == (401, False)
        headers = [ADMIN, ("X-Team", "a"), ("X-Other", "b")]
        received = made.client.ask("/gateway/x/mlflow/invocations", headers).received
        assert ("x-team", "a") in received
        assert "x-other" not in dict(received)


@pytest.mark.parametrize("accepted", [False, True])
def test_the_token_that_gcloud_prints_for_a_person(accepted: bool) -> None:
    """Its audience is gcloud, the same for every service."""
    chosen = {"authentication_oauth2_proxy_accept_gcloud_audience": accepted}
    with site("authentication_oauth2_proxy", **chosen) as made, made.run_oauth2_proxy():
        answers = {
            audience: made.client.ask(API, [bearer(made.provider.token("alice@example.com", aud=audience))]).status
            for audience in (CLIENT_ID, GCLOUD_AUDIENCE, "another-client")
        }
        assert answers == {CLIENT_ID: 200, GCLOUD_AUDIENCE: 200 if accepted else 401, "another-client": 401}


@pytest.mark.parametrize("policy", ["default-src 'none'", "script-src 'self'; frame-ancestors 'none'"])
def test_a_strict_policy_of_the_site_does_not_break_the_sign_in(policy: str) -> None:
    with site("authentication_oauth2_proxy", nginx_content_security_policy=policy) as made, made.run_oauth2_proxy():
        page = made.client.ask("/", NAVIGATION)
        nonce = page.text.split('nonce="')[1].split('"')[0]
        assert f"script-src 'nonce-{nonce}'" in page.headers["Content-Security-Policy"]
        assert "Content-Security-Policy" in made.client.ask(API).headers
        browser = Browser(made)
        browser.sign_in("bob@example.com")
        assert browser.open("/").headers["Content-Security-Policy"] == policy


def test_other_names_and_addresses_of_the_server() -> None:
    """A sign-in returns to the first name, and credentials work under each name."""
    with site("authentication_oauth2_proxy", nginx_hostnames=["mlflow.test", "192.0.2.7"]) as made:
        answer = made.client.ask(API, [ADMIN], host="192.0.2.7")
        assert (answer.status, dict(answer.received)["host"]) == (200, "192.0.2.7")
        assert made.client.ask(API, [ADMIN], host="evil.example").status == 421
