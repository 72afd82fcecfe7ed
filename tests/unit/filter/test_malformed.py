# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Malformed role variables are found before the first change. Google refused them after the network was created."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.mlops.mlflow_gcp.plugins.filter.malformed import BASE, CHECKS, FilterModule, malformed

from tests.unit.roles.evaluated import ROLES, load, render

ENVIRONMENT = {"deployment_project": "my-project", "infrastructure_ssh_source_ranges": ["203.0.113.7/32"]}
ROLES_OF_REQUESTS = ("deployment", "infrastructure", "secrets", "certificates", "dns", "backup")
# Variables that are not part of a request, or that the argument specification checks (booleans and choices).
NOT_SENT = {
    "certificates_address",
    "dns_address",
    "certificates_file",
    "certificates_key_file",
    "certificates_days",
    "certificates_renew_days",
    "certificates_acme_directory",
    "certificates_acme_email",
    "certificates_acme_eab_key_id",
    "certificates_acme_eab_hmac_key",
    "certificates_acme_profile",
    "certificates_acme_ca_file",
    "deployment_state_root",
    "deployment_state_directory",
    "deployment_unlock_confirm",
    "infrastructure_destroy_confirm",
    "backup_keep",
    "backup_timeout_seconds",
    "backup_restore_confirm",
    "backup_drill_read_bytes",
}


def settings(**changed: Any) -> dict[str, Any]:
    """Return the default variables of the roles with some changes."""
    defaults = {}
    for role in ROLES_OF_REQUESTS:
        defaults |= load("defaults/main.yml", role)
    defaults |= ENVIRONMENT | changed
    region = render(defaults["deployment_region"], defaults)
    defaults["mlflow_deployment"] = {
        "project": "my-project",
        "bucket_prefix": "my-project-mlflow",
        "region": str(region),
    }
    return {name: render(value, defaults) for name, value in defaults.items()}


def test_defaults_are_well_formed() -> None:
    assert malformed(settings()) == []
    assert FilterModule().filters() == {"malformed": malformed}


def test_every_variable_that_is_sent_is_checked() -> None:
    """A new variable must be in CHECKS or in NOT_SENT."""
    for role in ROLES_OF_REQUESTS:
        specification = yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text())
        options = specification["argument_specs"]["main"]["options"]
        free = {name for name, one in options.items() if one["type"] != "bool" and "choices" not in one}
        assert free - NOT_SENT - set(BASE) - set(CHECKS) == set()


@pytest.mark.parametrize(
    "hostname", ["mlflow.example.com", "MLflow.Example.com", "198.51.100.7", "localhost", "a-1.test"]
)
def test_a_host_name_or_an_address(hostname: str) -> None:
    assert malformed(settings(deployment_hostname=hostname)) == []


def test_a_custom_role_for_the_challenge() -> None:
    assert malformed(settings(certificates_acme_dns_role="projects/dns-owner/roles/acmeChallenge")) == []


def test_a_host_name_in_a_managed_zone() -> None:
    assert malformed(settings(deployment_hostname="mlflow.example.com", dns_managed_zone="example-com")) == []


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "label": ({"deployment_labels": {"team": "Data Science"}}, "'Data Science' of key 'team'"),
    "label, boolean": ({"deployment_labels": {"live": True}}, "value true of key 'live'"),
    "label, key": ({"deployment_labels": {"Team": "x"}}, "holds key 'Team'"),
    "labels, null": ({"deployment_labels": None}, "deployment_labels is null"),
    "labels of the deployment": (
        {"deployment_labels": {"app": "x", "team": "x"}},
        "deployment_labels holds app, which",
    ),
    "project": ({"deployment_project": "my-project\n"}, r"deployment_project is 'my-project\n'"),
    "name": ({"deployment_name": "x" * 21}, "deployment_name is 'xxx"),
    "name, secrets of another deployment": ({"deployment_name": "mlflow-database"}, "another deployment's"),
    "name, a user of another deployment": ({"deployment_name": "mlflow-user-a"}, "another deployment's"),
    "name, boolean": ({"deployment_name": True}, "deployment_name is true"),
    "zone": ({"deployment_zone": "us-central1-a"}, "for example europe-west1-b"),
    "number": ({"infrastructure_boot_disk_size_gb": "big"}, "'big'"),
    "clients, none": ({"infrastructure_client_source_ranges": []}, "must have 1 item or more"),
    "clients, text": ({"infrastructure_client_source_ranges": "10.0.0.0/8"}, "must be a list"),
    "clients, IPv6": ({"infrastructure_client_source_ranges": ["::/0"]}, "holds '::/0'"),
    "machine type": ({"infrastructure_machine_type": "E2-small"}, "infrastructure_machine_type is 'E2-small'"),
    "image family": ({"infrastructure_image_family": ""}, "infrastructure_image_family is ''"),
    "image project": ({"infrastructure_image_project": None}, "infrastructure_image_project is null: it has no value"),
    "disk": ({"infrastructure_boot_disk_size_gb": 5}, "from 10 to 65536"),
    "flags": ({"infrastructure_database_flags": {"Max": "1"}}, "holds key 'Max'"),
    "time": ({"infrastructure_database_backup_start_time": 720}, "in quotes"),
    "bucket": ({"infrastructure_bucket": "Upper"}, "infrastructure_bucket is 'Upper'"),
    "SSH user": ({"deployment_ssh_user": "root"}, "other than root"),
    "SSH key": ({"infrastructure_ssh_public_keys": ["ssh-rsa AAAA\nroot:x"]}, "not a public SSH key in one line"),
    "host name, dot": ({"deployment_hostname": "mlflow.example.com."}, "deployment_hostname is 'mlflow.example.com.'"),
    "host name, URL": ({"deployment_hostname": "https://mlflow.example.com"}, "without scheme, port"),
    "managed zone, DNS name": ({"dns_managed_zone": "example.com"}, "dns_managed_zone is 'example.com'"),
    "managed zone without a host name": (
        {"dns_managed_zone": "example-com"},
        "deployment_hostname '' is no domain name",
    ),
    "managed zone and an address": (
        {"dns_managed_zone": "example-com", "deployment_hostname": "198.51.100.7"},
        "deployment_hostname '198.51.100.7' is no domain name",
    ),
    "project of the managed zone": ({"dns_project": "My DNS"}, "dns_project is 'My DNS'"),
    "role for the challenge": ({"certificates_acme_dns_role": "dns.admin"}, "it is not a role, such as"),
    "TTL": ({"dns_ttl": "5m"}, "dns_ttl is '5m'"),
    "backup": ({"backup_name": "../x"}, "backup_name is '../x'"),
    "other deployment": ({"backup_restore_from": "x"}, "backup_restore_from is 'x'"),
    "secret": ({"credentials_items": [{"name": "a.b", "secret": "x\n"}]}, r"value 'x\n' of secret"),
    "project of the secrets": ({"credentials_project": "My Project"}, "credentials_project is 'My Project'"),
    "artifacts": ({"mlflow_artifacts_destination": "gs://my bucket"}, "a bucket name has"),
    "secret of a user": (
        {"mlflow_users": [{"name": "alice", "secret_accessors": ["alice@example.com"]}]},
        "holds value 'alice@example.com' of secret_accessors: it is not a principal",
    ),
    "public secret of a user": (
        {"mlflow_users": [{"name": "alice", "secret_accessors": ["allUsers"]}]},
        "holds value 'allUsers' of secret_accessors: a password must not be public",
    ),
    "other bucket": ({"backup_restore_bucket": "gs://x"}, "backup_restore_bucket is 'gs://x'"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_malformed_value_is_named_with_its_variable_and_a_remedy(case: str) -> None:
    changed, words = CASES[case]
    said = malformed(settings(**changed))
    assert len(said) == 1, said
    assert words in said[0]
    assert next(iter(changed)) in said[0]
    assert "group_vars/all.yml" in said[0] or "for example" in said[0] or "Keep" in said[0]
