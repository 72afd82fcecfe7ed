# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The filter resembling finds mistyped prefixes and accepts unrelated variables."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.filter.resembling import FilterModule, resembling

from tests.unit.roles.evaluated import load

# The list that the role infrastructure gives to the role settings.
ROLES = next(iter(load("tasks/preflight.yml", "infrastructure")))["vars"]["settings_roles"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("mlfow_version", "mlflow_version"),
        ("MLFLOW_workers", "mlflow_workers"),
        ("infrastucture_bucket", "infrastructure_bucket"),
        ("deploymnt_name", "deployment_name"),
        ("ngnix_hostnames", "nginx_hostnames"),
        ("credential_items", "credentials_items"),
        ("backups_keep", "backup_keep"),
        ("shedule_calendar", "schedule_calendar"),
    ],
)
def test_a_mistyped_prefix_is_found(given: str, meant: str) -> None:
    assert resembling([given], ROLES) == {given: meant}


@pytest.mark.parametrize(
    "name",
    [
        *(f"{role}_name" for role in ROLES),
        # Variables of a role, of Ansible, of the inventory plugin and of a user.
        *(
            "__mlfow_version",
            "ansible_host",
            "group_names",
            "inventory_dir",
            "playbook_dir",
            "role_names",
            "play_hosts",
        ),
        *("internal_ip", "machine_type", "docker_users", "update_cache", "ml_bucket", "backups", "_mlfow"),
        # The role name gc is too short for a comparison.
        *("gcp_project", "gcs_bucket", "g_name"),
    ],
)
def test_other_names_are_accepted(name: str) -> None:
    assert resembling([name], ROLES) == {}


def test_the_filter_has_its_name() -> None:
    assert FilterModule().filters() == {"resembling": resembling}
