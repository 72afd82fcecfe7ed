# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Role variables of the role mlflow that are not valid."""

from __future__ import annotations

DOCUMENTATION = r"""
name: server_refusals
short_description: Role variables of the role mlflow that are not valid
version_added: 0.1.0
description:
  - Checks the values of P(mlops.mlflow_gcp.mlflow#role) before the first change, also together with each other.
options:
  _input:
    description:
      - Values of all role variables, by name.
      - The role computes V(hostnames), V(cpus), V(own_environment), V(requirements), which is the path of the locked
        requirements file, and V(requirements_exist).
    type: dict
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Require valid role variables
  ansible.builtin.assert:
    that: values | mlops.mlflow_gcp.server_refusals == []
"""

RETURN = r"""
_value:
  description: A message for each refused variable, with its value and the remedy.
  type: list
  elements: str
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..module_utils._server_plan import server_plan

Values = Mapping[str, Any]
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:(rc|\.post)(\d+))?")
DESTINATION = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/\S*)?|/\S+")
HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
# The least value of each number.
LEAST = {
    "mlflow_workers": 0,
    "mlflow_cpus": 0,
    "mlflow_database_max_connections": 0,
    "mlflow_auth_cache_ttl_seconds": 0,
    "mlflow_graceful_shutdown_timeout": 1,
    "mlflow_start_timeout": 30,
    "mlflow_drain_timeout": 0,
    "mlflow_keep_releases": 0,
}
POOL = ("mlflow_database_pool_size", "mlflow_database_max_overflow")
LEAST_CONNECTIONS = 9
SECRETS = {
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": "NAME-webhook-encryption-key",
    "MLFLOW_CRYPTO_KEK_PASSPHRASE": "NAME-crypto-kek-passphrase",
}


def _order(version: str) -> tuple[int, ...] | None:
    """Return numbers that order versions, None if the text is no version. A release candidate comes first."""
    found = VERSION.fullmatch(version)
    if found is None:
        return None
    major, minor, patch, kind, number = found.groups()
    return int(major), int(minor), int(patch), {"rc": -1, ".post": 1}.get(kind or "", 0), int(number or 0)


def _version(values: Values) -> str:
    version, minimum = str(values["mlflow_version"]), str(values["mlflow_minimum_version"])
    order, least = _order(version), _order(minimum)
    if order is None or least is None or order < least:
        return (
            f"mlflow_version: '{version}' is not a release that may be exposed. Give {minimum} (mlflow_minimum_version)"
            " or newer, such as 3.17.2."
        )
    if not values["requirements_exist"]:
        return (
            f"mlflow_version: there is no locked requirements file {values['requirements']}. Choose a version that the"
            " role ships, or set mlflow_requirements_file."
        )
    return ""


def _destination(values: Values) -> str:
    given = str(values["mlflow_artifacts_destination"])
    if DESTINATION.fullmatch(given):
        return ""
    return (
        f"mlflow_artifacts_destination: '{given}' is neither gs://BUCKET nor an absolute directory. Set one of these."
    )


def _temporary(values: Values) -> str:
    given = str(values["mlflow_temporary_directory"])
    if re.fullmatch(r"/[^\s:]*[^\s:/]", given) and not re.match(r"/(var/)?tmp/", given):
        return ""
    return (
        f"mlflow_temporary_directory: '{given}' must be an absolute directory. The service has a private /tmp and"
        " /var/tmp: set one of them, or a directory outside both."
    )


def _hostnames(values: Values) -> str:
    given = values["hostnames"]
    if given and all(HOSTNAME.fullmatch(name) for name in given):
        return ""
    return (
        f"mlflow_hostnames: {json.dumps(list(given))} must list at least one name or address, without scheme, port and"
        " wildcard."
    )


def _numbers(values: Values) -> str:
    small = [f"{name} ({values[name]}) at least {least}" for name, least in LEAST.items() if int(values[name]) < least]
    size, overflow = (int(values[name]) for name in POOL)
    if (size, overflow) != (0, 0) and (min(size, overflow) < 1 or size + overflow < LEAST_CONNECTIONS):
        return (
            f"{POOL[0]} ({size}) and {POOL[1]} ({overflow}) must both be 0, or each at least 1 and their sum at least"
            f" {LEAST_CONNECTIONS}."
        )
    return f"These numbers are too small: {', '.join(small)} is required." if small else ""


def _connections(values: Values) -> str:
    names = {"workers": "mlflow_workers", "pool_size": POOL[0], "max_overflow": POOL[1]}
    given = {key: int(values[name]) for key, name in names.items()}
    allowed = int(values["mlflow_database_max_connections"])
    jobs = values["mlflow_job_execution"] in (True, "true", "True", "yes", "on", "1")
    plan = server_plan(**given, cpus=int(values["cpus"]), max_connections=allowed, jobs=jobs)
    if plan.fits:
        return ""
    return (
        f"mlflow_workers: the server may need {plan.connections} database connections, and the database allows"
        f" {allowed} (max_connections): {plan.sum}. Lower mlflow_workers or mlflow_database_pool_size, or raise"
        " max_connections in infrastructure_database_flags together with infrastructure_database_tier."
    )


def _names(values: Values) -> str:
    database, admin = str(values["mlflow_auth_database"]), str(values["mlflow_admin_username"])
    if re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", database) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@+-]*", admin):
        return ""
    return f"mlflow_auth_database: '{database}' or mlflow_admin_username: '{admin}' is not a valid name."


def _environment(values: Values) -> str:
    given, own = values["mlflow_environment"], values["own_environment"]
    for name, secret in SECRETS.items():
        if name in given:
            return (
                f"mlflow_environment: {name} is a secret of the deployment. Remove it from mlflow_environment. To keep"
                f" its value, store the value in the secret {secret} before site.yml creates one."
                " docs/operations/stored-secrets.md has the commands."
            )
    wrong = [name for name in given if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name) or name in own]
    wrong += [name for name, value in given.items() if re.search(r"[\r\n]", str(value))]
    if not wrong:
        return ""
    return (
        f"mlflow_environment: {', '.join(wrong)} is a name that is not upper case, a name that the role sets itself"
        f" ({', '.join(own)}), or has a value of several lines. Correct or remove the entry."
    )


CHECKS = (_version, _destination, _temporary, _hostnames, _numbers, _names, _environment)


def server_refusals(values: Values) -> list[str]:
    """Return a message for each refused variable. The connections are computed from valid numbers only."""
    found = [message for check in CHECKS if (message := check(values))]
    return found or [message for message in [_connections(values)] if message]


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"server_refusals": server_refusals}
