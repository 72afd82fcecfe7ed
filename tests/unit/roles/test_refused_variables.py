# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Bad values of role variables are refused with the variable, the value and the remedy.

tests/localcloud/playbooks proves that each playbook runs these checks before its first change.
"""

from __future__ import annotations

import functools
from typing import Any

import pytest
import yaml

from tests.unit.roles.evaluated import ROLES, described
from tests.unit.roles.validation import refusals

TYPE = "were unable to convert to int"
# Role, variables, and expected parts of the message.
CASES: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "mlflow, type": ("mlflow", {"mlflow_workers": "many"}, ["mlflow_workers", TYPE]),
    "mlflow, choice": ("mlflow", {"mlflow_default_permission": "ALL"}, ["mlflow_default_permission must be one of"]),
    "infrastructure, type": (
        "infrastructure",
        {"infrastructure_boot_disk_size_gb": "big"},
        ["infrastructure_boot_disk_size_gb", TYPE],
    ),
    "nginx, number": ("nginx", {"nginx_timeout_seconds": 5}, ["nginx_timeout_seconds (5) at least 60"]),
    "nginx, another number": ("nginx", {"nginx_retry_after_seconds": 0}, ["nginx_retry_after_seconds (0) at least 1"]),
    "nginx, choice": ("nginx", {"nginx_certificate_source": "sky"}, ["nginx_certificate_source must be one of", "sky"]),
    "nginx, no host name": ("nginx", {"nginx_hostnames": []}, ["nginx_hostnames: [] must list"]),
    "nginx, wildcard": ("nginx", {"nginx_hostnames": ["*.example.com"]}, ["nginx_hostnames:", "*.example.com"]),
    "nginx, no files": ("nginx", {"nginx_certificate_source": "files"}, ["nginx_certificate_source is files, but"]),
    "nginx, policy": ("nginx", {"nginx_content_security_policy": "$x"}, ["must not contain", '"$x"']),
    "nginx, policy with a quote": ("nginx", {"nginx_content_security_policy": 'x"; return 200'}, ["must not contain"]),
    "nginx, header": ("nginx", {"nginx_gateway_headers": ["X-Tenant", "X Tenant"]}, ["Remove X Tenant."]),
    "nginx, reserved header": ("nginx", {"nginx_gateway_headers": ["Cookie"]}, ["Remove cookie."]),
    "credentials, name": (
        "credentials",
        {"credentials_items": [{"name": "noprefix", "secret": "x"}]},
        ["credentials_items", '"name": "noprefix"', "a name such as mlflow.database-uri"],
    ),
    "credentials, no name": ("credentials", {"credentials_items": [{"secret": "x"}]}, ["name"]),
    "credentials, project": ("credentials", {"credentials_project": "Not A Project"}, ["'Not A Project' is not"]),
    "rotate": ("rotate", {"rotate_database_patience": 0}, ["rotate_database_patience (0) at least 1"]),
    "gc, age": ("gc", {"gc_older_than": "a month"}, ["gc_older_than is 'a month'", "such as 30d"]),
    "gc, ID": ("gc", {"gc_run_ids": ["a b"]}, ["gc_run_ids is ['a b']"]),
    "gc, timer": (
        "gc",
        {"gc_calendar": "Sun 04:00", "gc_run_ids": ["abc"]},
        ["gc_calendar is 'Sun 04:00'", "Leave out gc_run_ids"],
    ),
    "upgrade, choice": ("upgrade", {"upgrade_channel": "newest"}, ["upgrade_channel must be one of", "newest"]),
    "upgrade, type": ("upgrade", {"upgrade_timeout_seconds": "long"}, ["upgrade_timeout_seconds", TYPE]),
}
# The variables without which a role cannot be checked.
NEEDED = {"nginx": {"nginx_hostnames": ["a.example"]}}


def known(role: str) -> dict[str, Any]:
    return {"mlflow_deployment": deployment()} | NEEDED.get(role, {})


@functools.cache
def deployment() -> dict[str, Any]:
    return described()


@pytest.mark.parametrize("case", CASES)
def test_a_bad_value_is_refused(case: str) -> None:
    role, settings, words = CASES[case]
    said = refusals(role, known=known(role), **settings)
    assert len(said) == 1, said
    assert [word for word in words if word not in said[0]] == [], said[0]


@pytest.mark.parametrize("role", sorted({role for role, _, _ in CASES.values()} - {"infrastructure"}))
def test_the_defaults_are_accepted(role: str) -> None:
    assert refusals(role, known=known(role)) == []


def test_a_key_without_a_certificate_is_refused() -> None:
    said = refusals("certificates", tasks="files", certificates_key_file="/nowhere/key.pem")[0]
    assert "certificates_key_file is '/nowhere/key.pem'" in said
    assert "Give both, or neither" in said


def test_ssh_from_everywhere_is_refused() -> None:
    said = refusals("infrastructure", tasks="main", infrastructure_ssh_source_ranges=["0.0.0.0/0"])[0]
    assert "infrastructure_ssh_source_ranges is ['0.0.0.0/0']" in said
    assert "such as 203.0.113.7/32" in said


def test_a_backup_that_keeps_nothing_is_refused() -> None:
    (said,) = refusals("backup", tasks="preflight", known=known("backup"), backup_keep=0)
    assert said.startswith("backup_keep is 0. Keep at least 1")


def test_provision_runs_the_checks_of_each_role_on_the_vm() -> None:
    """Otherwise a bad value would be found after the resources were created."""
    tasks = yaml.safe_load((ROLES / "infrastructure" / "tasks" / "validate.yml").read_text(encoding="utf-8"))
    included = [task.get("ansible.builtin.include_role", {}) for block in tasks for task in block["block"]]
    validated = {each["name"].rpartition(".")[2] for each in included if each.get("tasks_from") == "validate"}
    assert validated == {"certificates", "credentials", "mlflow", "nginx"}
