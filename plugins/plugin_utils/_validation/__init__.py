# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check the values of role variables: on the control node before the first change, and in each role on the VM."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._role_variables import ROLES

from . import authentication_basic, authentication_oauth2_proxy, certificates, credentials, mlflow, nginx
from ._context import Context, Values


def no_variables(_values: Values, _context: Context) -> list[str]:
    """Return no message: the role has no variables."""
    return []


CHECKS: Mapping[str, Callable[[Values, Context], list[str]]] = {
    "authentication_application": no_variables,
    "authentication_basic": authentication_basic.refusals,
    "authentication_oauth2_proxy": authentication_oauth2_proxy.refusals,
    "certificates": certificates.refusals,
    "credentials": credentials.refusals,
    "mlflow": mlflow.refusals,
    "nginx": nginx.refusals,
}


def refusals(role: str, values: Values, context: Context, roles: Path = ROLES) -> list[str]:
    """Return a message for each invalid variable of a role: first types and choices, then the checks of the role."""
    path = roles / role / "meta" / "argument_specs.yml"
    options: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
    known = {name: option for name, option in options.items() if name in values}
    if messages := ArgumentSpecValidator(known).validate({name: values[name] for name in known}).error_messages:
        return list(messages)
    return CHECKS[role](values, context)
