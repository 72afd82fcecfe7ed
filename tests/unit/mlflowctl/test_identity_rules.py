# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Which identities become users and administrators, and the settings of the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._validation._identities import is_address
from mlflow_gcp_server import settings as package_settings
from mlflow_gcp_server.identity_rules import Identity, RefusedError, Rules, User, decide
from mlflow_gcp_server.settings import SettingsError

SECRET = "s" * 32
RULES = {
    "domains": ["Example.com", "sub.example.org"],
    "service_accounts": ["ci@team-one.iam.gserviceaccount.com", "@robots-1.iam.gserviceaccount.com", "Jane@gmail.com"],
    "admins": ["Boss@example.com"],
    "admin_groups": ["ML Admins"],
    "require_hosted_domain": True,
}
VALUES = {"threads": 10, "audit_log": True, "admin_username": "admin", "identity": {**RULES, "secret": SECRET}}
MALFORMED = [
    "",
    "alice",
    "@example.com",
    "alice@",
    "alice@example",
    "alice@example..com",
    "alice@exam ple.com",
    "al ice@example.com",
    "alice@example.com ",
    "alice@example.com\n",
    "alice@example.com,bob@example.com",
    "alice@evil.com@example.com",
    "alice;x@example.com",
    ".alice@example.com",
    "alice\0@example.com",
    "älice@example.com",
    # Not ASCII: the Cyrillic letter.
    "аlice@example.com",  # noqa: RUF001
    # Lower case of the Kelvin sign is an ASCII letter.
    "alice@example.com\u212a",
    "108204268033311374519",
    "a" * 250 + "@example.com",
]


def rules(**changes: Any) -> Rules:
    identity = package_settings.parse({**VALUES, "identity": {**RULES, "secret": SECRET, **changes}}).identity
    assert identity
    return identity.rules


def person(address: str, *groups: str, domain: str = "example.com") -> Identity:
    return Identity(address, frozenset(groups), domain)


@pytest.mark.parametrize(
    ("identity", "user"),
    [
        (person("alice@example.com"), User("alice@example.com", is_admin=False)),
        (person("Alice@EXAMPLE.com", domain="Example.COM"), User("alice@example.com", is_admin=False)),
        (person("BOSS@example.com"), User("boss@example.com", is_admin=True)),
        (person("alice@example.com", "x", "ML Admins"), User("alice@example.com", is_admin=True)),
        # Another group may exist that differs in case.
        (person("alice@example.com", "ml admins"), User("alice@example.com", is_admin=False)),
        (person("o'neil+x@sub.example.org", domain="sub.example.org"), User("o'neil+x@sub.example.org", False)),
        (person("ci@team-one.iam.gserviceaccount.com", domain=""), User("ci@team-one.iam.gserviceaccount.com", False)),
        (
            person("any@robots-1.iam.gserviceaccount.com", domain=""),
            User("any@robots-1.iam.gserviceaccount.com", False),
        ),
        (person("jane@gmail.com", domain=""), User("jane@gmail.com", is_admin=False)),
    ],
)
def test_accepted(identity: Identity, user: User) -> None:
    assert decide(rules(), identity) == user


@pytest.mark.parametrize(
    ("identity", "message"),
    [
        (person("bob@gmail.com"), "bob@gmail.com is refused: the domain gmail.com is not in mlflow_identity_domains"),
        (person("bob@sub.example.com", domain="sub.example.com"), "the domain sub.example.com is not in"),
        (person("bob@notexample.com", domain="notexample.com"), "the domain notexample.com is not in"),
        (person("bob@example.com", domain=""), "bob@example.com is refused: the claim hd is missing"),
        (person("bob@example.com", domain="example.org"), "the claim hd is example.org"),
        (person("boss@example.com", "ML Admins", domain=""), "the claim hd is missing"),
        (person("bob@team-one.iam.gserviceaccount.com"), "not in mlflow_identity_service_accounts"),
        (person("bob@robots-10.iam.gserviceaccount.com"), "not in mlflow_identity_service_accounts"),
        (person("bob@xrobots-1.iam.gserviceaccount.com"), "not in mlflow_identity_service_accounts"),
        (person("1-compute@developer.gserviceaccount.com"), "not in mlflow_identity_service_accounts"),
    ],
)
def test_refused_with_the_address_and_the_rule(identity: Identity, message: str) -> None:
    with pytest.raises(RefusedError) as raised:
        decide(rules(), identity)
    assert message in str(raised.value)
    assert identity.address in str(raised.value)


def test_a_domain_with_service_accounts_admits_none() -> None:
    """The validation refuses such a domain. A server of an earlier release could still have one."""
    with pytest.raises(RefusedError, match="service account is not in"):
        decide(rules(domains=["p.iam.gserviceaccount.com"]), person("x@p.iam.gserviceaccount.com"))


@pytest.mark.parametrize("address", MALFORMED)
def test_a_malformed_address_is_refused(address: str) -> None:
    """OAuth2-Proxy sends the claim `sub` if the provider has no claim `email`."""
    with pytest.raises(RefusedError, match="not an e-mail address"):
        decide(rules(), person(address))


@pytest.mark.parametrize("address", [*MALFORMED, "alice@example.com", "A.b+c_d@Ex-ample.co.uk", "o'neil@a.example"])
def test_the_control_node_and_the_vm_agree_on_addresses(address: str) -> None:
    try:
        decide(rules(), person(address))
        message = ""
    except RefusedError as error:
        message = str(error)
    assert is_address(address) == ("not an e-mail address" not in message)


def test_without_a_hosted_domain() -> None:
    """Other providers than Google have no such claim."""
    assert decide(rules(require_hosted_domain=False), person("a@example.com", domain="")).username == "a@example.com"
    with pytest.raises(RefusedError, match="mlflow_identity_domains"):
        decide(rules(require_hosted_domain=False), person("a@gmail.com", domain=""))


# --- Settings


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"secret": None}, "at least 32 characters"),
        ({"secret": "short"}, "at least 32 characters"),
        ({"secret": "two words " * 5}, "no space"),
        ({"domains": "example.com"}, "identity.domains must be a list"),
        ({"domains": [""]}, "identity.domains must be a list"),
        ({"domains": ["*"]}, "admit every account"),
        ({"domains": [], "service_accounts": []}, "every identity would be refused"),
        ({"admins": None}, "identity.admins must be a list"),
        ({"admin_groups": [1]}, "identity.admin_groups must be a list"),
        ({"require_hosted_domain": "yes"}, "identity.require_hosted_domain must be true or false"),
    ],
)
def test_wrong_settings_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as raised:
        package_settings.parse({**VALUES, "identity": {**RULES, "secret": SECRET, **change}})
    assert SECRET not in str(raised.value)


def test_the_settings_are_read_from_the_file_of_the_launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(package_settings.VARIABLE, str(tmp_path / "package.json"))
    with pytest.raises(SettingsError, match=r"package\.json is not readable: FileNotFoundError"):
        package_settings.read()
    (tmp_path / "package.json").write_text("{")
    with pytest.raises(SettingsError, match=r"package\.json is not readable: JSONDecodeError"):
        package_settings.read()
    (tmp_path / "package.json").write_text(json.dumps({**VALUES, "identity": None}))
    assert package_settings.read().identity is None
    assert package_settings.read().threads == 10
    assert package_settings.read().direct_transfers is None


def test_direct_transfers() -> None:
    direct = package_settings.parse({**VALUES, "direct_transfers": {"minimum_bytes": 1000, "url_seconds": 900}})
    assert direct.direct_transfers == package_settings.DirectTransfers(minimum_bytes=1000, url_seconds=900)
