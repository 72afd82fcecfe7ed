# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Mistyped beginnings of settings are found, and the variables of others are let be."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.filter.resembling import FilterModule, resembling

ROLES = ["infrastructure", "credentials", "mlflow", "nginx", "doctor", "upgrade", "schedule", "rotate", "backup", "gc"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("mlfow_version", "mlflow_version"),
        ("MLFLOW_workers", "mlflow_workers"),
        ("infrastucture_name", "infrastructure_name"),
        ("ngnix_hostnames", "nginx_hostnames"),
        ("credential_items", "credentials_items"),
        ("backups_keep", "backup_keep"),
        ("shedule_calendar", "schedule_calendar"),
    ],
)
def test_a_mistyped_beginning_is_found(given: str, meant: str) -> None:
    assert resembling([given], ROLES) == {given: meant}


@pytest.mark.parametrize(
    "name",
    [
        *(f"{role}_name" for role in ROLES),
        # A role's own, Ansible's, the inventory's, somebody's.
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
        # The name of the role gc is too short to resemble anything.
        *("gcp_project", "gcs_bucket", "g_name"),
    ],
)
def test_other_names_are_let_be(name: str) -> None:
    assert resembling([name], ROLES) == {}


def test_ansible_finds_it() -> None:
    assert FilterModule().filters() == {"resembling": resembling}
