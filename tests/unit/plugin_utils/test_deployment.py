# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The fact mlflow_deployment: its names, its effective release, and its documentation."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.filter.malformed import malformed
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils import _deployment
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._authentication import AUTHENTICATIONS
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._deployment import Release, effective_release

from tests.unit.roles.evaluated import ROLES, described

SHIPPED = ["3.17.2"]
RECORDED = Release("3.18.0", "/state/requirements-3.18.0.txt")


def test_every_name_begins_with_the_name_of_the_deployment() -> None:
    fact = described(deployment_name="team", deployment_project="example.com:shop")
    assert fact["id"] == "example.com:shop/team"
    # No bucket name may contain a colon.
    assert fact["bucket"]["name"] == "example.com-shop-team-artifacts"
    assert fact["backups_bucket"] == "example.com-shop-team-backups"
    assert fact["vm"]["path"] == "example.com:shop/europe-west1-b/team-server"
    assert fact["database"]["instance"] == "team-database"
    assert all(secret.startswith("team-") for secret in fact["secrets"].values())


def test_no_two_deployments_have_a_secret_of_the_same_name() -> None:
    """The deployments `a` and `a-database` had one secret a-database-ca."""
    modes = AUTHENTICATIONS.values()
    suffixes = {*_deployment.SECRETS.values(), *(secret.suffix for mode in modes for secret in mode.secrets)}
    middles = {one.removesuffix(f"-{two}") for one in suffixes for two in suffixes if one.endswith(f"-{two}")}
    assert "database" in middles
    for middle in middles:
        assert malformed({"deployment_name": f"a-{middle}"})


def test_the_vm_cannot_read_the_key_of_the_certificate_authority() -> None:
    fact = described()
    assert set(fact["secrets"].values()) - set(fact["vm_secrets"]) == {"mlflow-ca"}
    assert [item["secret"] for item in fact["credential_items"]] == fact["vm_secrets"]
    assert {item["name"] for item in fact["credential_items"]} >= {"mlflow.database-uri", "nginx.certificate"}


def test_the_account_of_an_acme_directory_stays_until_the_deployment_is_destroyed() -> None:
    acme = described(certificates_source="acme", deployment_hostname="mlflow.example.com")
    assert "mlflow-acme-account" in acme["vm_secrets"]
    assert {"name": "mlflow-acme.account", "secret": "mlflow-acme-account"} in acme["credential_items"]
    assert "mlflow-acme-account" not in acme["former_secrets"]
    other = described()
    assert "mlflow-acme-account" not in other["vm_secrets"]
    assert "mlflow-acme-account" in other["former_secrets"]


@pytest.mark.parametrize(
    ("variables", "source", "ca_file"),
    [
        ({}, "ca", "ca.pem"),
        ({"certificates_file": "/own.pem"}, "files", ""),
        ({"certificates_source": "acme"}, "acme", "ca.pem"),
    ],
)
def test_what_clients_and_the_control_node_trust(variables: dict[str, str], source: str, ca_file: str) -> None:
    """An ACME directory may sign after the first run. Until then the server has a certificate of the own CA."""
    fact = described(deployment_hostname="mlflow.example.com", **variables)["certificate"]
    assert (fact["source"], fact["ca_file"].removeprefix("/state/my-project-mlflow/")) == (source, ca_file)


def test_the_record_of_a_dns_challenge() -> None:
    acme = {"certificates_source": "acme", "certificates_acme_challenge": "dns-01"}
    zone = {"dns_managed_zone": "example-com", "dns_project": "dns-owner"}
    fact = described(deployment_hostname="MLflow.example.com", **acme, **zone)
    record = {"project": "dns-owner", "zone": "example-com", "name": "_acme-challenge.mlflow.example.com."}
    assert fact["certificate"]["acme"]["record"] == record
    for other in ({"certificates_source": "ca"}, {"certificates_acme_challenge": "http-01"}):
        assert described(**acme | zone | other)["certificate"]["acme"]["record"] == {}


def test_the_server_follows_from_the_infrastructure() -> None:
    fact = described(infrastructure_machine_type="e2-standard-4", infrastructure_database_flags={})
    assert fact["vm"]["cpus"] == 4
    assert fact["database"]["max_connections"] == 100
    assert fact["server"]["artifacts_destination"] == "gs://my-project-mlflow-artifacts"


@pytest.mark.parametrize(
    ("desired", "recorded", "pinned", "effective"),
    [
        pytest.param(Release("3.17.2"), None, False, Release("3.17.2"), id="no upgrade yet"),
        pytest.param(Release("3.17.2"), RECORDED, False, RECORDED, id="a newer release of an upgrade stays"),
        pytest.param(Release("3.17.2"), RECORDED, True, Release("3.17.2"), id="a pinned release replaces it"),
        pytest.param(Release("3.19.0"), RECORDED, False, Release("3.19.0"), id="a newer desired release replaces it"),
        pytest.param(Release("3.18.0"), RECORDED, True, RECORDED, id="the same release takes the recorded lock file"),
        pytest.param(Release("3.18.0", "/own.txt"), RECORDED, True, Release("3.18.0", "/own.txt"), id="own lock file"),
        pytest.param(
            Release("3.17.2"), Release("3.17.2", "/state/r.txt"), False, Release("3.17.2"), id="shipped lock file"
        ),
        pytest.param(Release("3.18.0"), Release("3.18.0rc1", "/x"), False, Release("3.18.0"), id="release candidate"),
        pytest.param(
            Release("3.9.0"), Release("3.10.0", "/x"), False, Release("3.10.0", "/x"), id="numbers are compared"
        ),
    ],
)
def test_effective_release(desired: Release, recorded: Release | None, pinned: bool, effective: Release) -> None:
    assert effective_release(desired, recorded, pinned=pinned, shipped=SHIPPED) == effective


def release(record: dict[str, Any], *, explicit: bool = False, **settings: str) -> dict[str, Any]:
    files = {"mlflow_requirements_file": "", "mlflow_extra_requirements_file": ""}
    given = {"mlflow_version": "3.17.2", "upgrade_channel": "minor", **files, **settings}
    return _deployment.release(given, shipped_in=ROLES / "mlflow" / "files", record=record, explicit=explicit)


def test_the_record_of_an_upgrade_decides_unless_the_command_line_does() -> None:
    assert release({})["source"] == "desired"
    record = {"version": "3.18.0", "requirements_file": "/state/releases/requirements-3.18.0.txt"}
    found = release(record)
    assert (found["version"], found["source"], found["desired_version"]) == ("3.18.0", "recorded", "3.17.2")
    assert (found["requirements_file"], found["recorded"]) == (record["requirements_file"], record)
    assert release(record, explicit=True)["version"] == "3.17.2"


def keys(fact: dict[str, Any], prefix: str = "") -> set[str]:
    """Return the documented keys: nested dictionaries with dots, except those with keys of the user."""
    found = set()
    for key, value in fact.items():
        nested = isinstance(value, dict) and key not in ("labels", "flags", "record", "recorded", "records")
        found |= keys(value, f"{prefix}{key}.") if nested else {prefix + key}
    return found


def test_the_readme_lists_every_key() -> None:
    text = (ROLES / "deployment" / "README.md").read_text(encoding="utf-8")
    documented: set[str] = set()
    _before, table = text.split("| Key | Value |")
    for row in re.findall(r"^\| (`.+?) \|", table.split("\n\n")[0], re.MULTILINE):
        documented.update(re.findall(r"`([a-z_.]+)`", row))
    assert documented == keys(described())
