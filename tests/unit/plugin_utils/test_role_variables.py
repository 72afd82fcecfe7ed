# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A variable that resembles a role variable is refused, any other belongs to the user."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._role_variables import known_names, mistyped, resembling

KNOWN = known_names()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("mlfow_version", "mlflow_version"),
        ("MLFLOW_workers", "mlflow_workers"),
        ("mlflow_worker", "mlflow_workers"),
        ("infrastructure_machine_typ", "infrastructure_machine_type"),
        ("infrastucture_bucket", "infrastructure_bucket"),
        ("deploymnt_name", "deployment_name"),
        ("ngnix_hostnames", "nginx_hostnames"),
        ("nginx_hostname", "nginx_hostnames"),
        ("credential_items", "credentials_items"),
        ("backups_keep", "backup_keep"),
        ("shedule_calendar", "schedule_calendar"),
    ],
)
def test_a_typing_mistake_is_found(given: str, meant: str) -> None:
    assert resembling([given], KNOWN) == {given: meant}
    (message,) = mistyped([given])
    assert f"Unknown role variable {given}. Did you mean {meant}?" in message


@pytest.mark.parametrize(
    "name",
    [
        *sorted(KNOWN),
        # Private variables, variables of Ansible and of the inventory plugin.
        *("__mlfow_version", "_mlfow", "ansible_host", "group_names", "inventory_dir", "playbook_dir", "role_names"),
        # Variables of the user.
        *("mlflow_team", "nginx_upstream_name", "internal_ip", "machine_type", "docker_users", "update_cache"),
        *("ml_bucket", "backups", "gcp_project", "gcs_bucket", "g_name", "upgrade_window", "infrastructure_owner"),
    ],
)
def test_any_other_name_is_accepted(name: str) -> None:
    assert resembling([name], KNOWN) == {}
