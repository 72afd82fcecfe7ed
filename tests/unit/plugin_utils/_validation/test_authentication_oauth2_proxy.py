# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Role variables of the role authentication_oauth2_proxy that are refused before the first change."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._validation import refusals

from tests.unit.plugin_utils._validation.context import CONTEXT, values

ROLE = "authentication_oauth2_proxy"
SECRET = "GOCSPX-the-secret-of-the-test"
RULES: dict[str, Any] = {"domains": ["example.com"], "admins": [], "admin_groups": [], "service_accounts": []}
VALID = {"hostname": "mlflow.example.com", "client_id": "1-a.apps.googleusercontent.com", "rules": RULES}


def refused(**changed: Any) -> list[str]:
    given = {f"{ROLE}_{name}": value for name, value in (VALID | changed).items()}
    return refusals(ROLE, values(ROLE, **given), CONTEXT)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"client_secret": SECRET},
        {"version": "7.16.0"},
        {"source": "url", "url": "https://releases.example/a.tar.gz", "sha256": "a" * 64},
        {"source": "file", "file": __file__},
        {"checksum": "h1:4xZOFvyGysSUxdrEVyLjo+NduqGHbGV9bLE8XD49IJM="},
        {"issuer": "https://login.example.com/realms/team"},
        {"extra_audiences": ["https://other.example.com", "2-b.apps.googleusercontent.com"]},
        {"rules": RULES | {"domains": [], "admins": ["ada@gmail.com"]}},
        {
            "rules": RULES
            | {"service_accounts": ["@my-project.iam.gserviceaccount.com", "ci@p.iam.gserviceaccount.com"]}
        },
    ],
)
def test_a_valid_value_is_accepted(changed: dict[str, Any]) -> None:
    assert refused(**changed) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"version": "7.15.5"},
            "authentication_oauth2_proxy_version is '7.15.5'. Older releases than 7.15.6 let requests",
        ),
        ({"version": "7.9.0"}, "_version is '7.9.0'"),
        ({"version": "8.0.0"}, "_version is '8.0.0'"),
        ({"version": "latest"}, "Set authentication_oauth2_proxy_version to 7.15.6 or a newer 7.x."),
        ({"source": "apt"}, "must be one of"),
        ({"source": "url", "url": "http://a.example/x", "sha256": "a" * 64}, "_url is 'http://a.example/x'"),
        ({"source": "url", "url": "https://a.example/x"}, "_sha256 is ''. Give the https URL"),
        ({"source": "file", "file": "/no/such/file"}, "_file is '/no/such/file', which is no file"),
        ({"source": "file", "file": "ansible.cfg"}, "Give the absolute path"),
        ({"sha256": "abc"}, "_sha256 is 'abc', which is no SHA-256 checksum"),
        ({"checksum": "sha256:abc"}, "_checksum is 'sha256:abc'. Give the checksum of the Go module"),
        ({"hostname": ""}, "(deployment_hostname) is '', which is empty"),
        ({"hostname": "192.0.2.1"}, "is '192.0.2.1', which is an IP address"),
        ({"hostname": "2001:db8::1"}, "which is an IP address"),
        ({"hostname": "localhost"}, "is 'localhost', which is no DNS name"),
        ({"client_id": "a b"}, '_client_id is "a b"'),
        ({"client_id": "${HOME}"}, "without white space"),
        ({"client_secret": f"{SECRET}\n"}, "_client_secret begins or ends with white space, such as a newline"),
        ({"client_secret": f"{SECRET}\0x"}, "_client_secret contains a character that cannot be printed"),
        ({"issuer": "http://accounts.example.com"}, "_issuer is 'http://accounts.example.com'. Give the https URL"),
        ({"issuer": "accounts.google.com"}, "_issuer is 'accounts.google.com'"),
        ({"issuer": "https://a.example/?x=1"}, "_issuer is 'https://a.example/?x=1'"),
        ({"scopes": ["openid"]}, '_scopes is ["openid"]. It must contain openid and email'),
        ({"extra_audiences": ["a b"]}, '_extra_audiences contains ["a b"]'),
        ({"groups_claim": ""}, "_groups_claim is ''"),
        ({"session_hours": 0}, "_session_hours is 0. A session cannot be revoked. Set it to 1 to 168 hours."),
        ({"session_hours": 169}, "_session_hours is 169"),
        ({"rules": RULES | {"domains": ["*"]}}, "contains '*', which is no domain. Wildcards would accept everybody"),
        ({"rules": RULES | {"domains": ["*.example.com"]}}, "contains '*.example.com'"),
        ({"rules": RULES | {"domains": [".example.com"]}}, "contains '.example.com'"),
        ({"rules": RULES | {"domains": ["Gmail.com"]}}, "contains Gmail.com, in which everybody can get an address"),
        ({"rules": RULES | {"service_accounts": ["@outlook.com"]}}, "contains outlook.com, in which everybody"),
        ({"rules": RULES | {"admins": ["ada"]}}, "no e-mail addresses: ada"),
        ({"rules": RULES | {"admins": ["ada@example.com\nbob@example.com"]}}, "no e-mail addresses"),
        ({"rules": RULES | {"domains": []}}, "No identity is accepted: mlflow_identity_domains"),
        ({"rules": {}}, "No identity is accepted"),
        ({"rules": RULES | {"admin_groups": ["a,b"]}}, "mlflow_identity_admin_groups contains a,b"),
    ],
)
def test_a_refused_value_is_named(changed: dict[str, Any], message: str) -> None:
    (found,) = refused(**changed)
    assert message in found
    assert SECRET not in found


def test_without_a_client_the_message_says_what_to_enter_at_the_provider() -> None:
    (found,) = refused(client_id="")
    assert "authentication_oauth2_proxy_client_id is empty" in found
    assert "authorized JavaScript origin https://mlflow.example.com and" in found
    assert "authorized redirect URI https://mlflow.example.com/oauth2/callback" in found
