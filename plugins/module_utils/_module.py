# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Run a module: options, credentials, and the result or the error for Ansible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from . import _auth, _formats, _options
from ._advice import advice, login
from ._client import Client, GoogleError
from ._convergence import Convergence
from ._errors import RefusedError
from ._resource import Resource


def start(kind: type[Resource], options: Mapping[str, Any], **kwargs: Any) -> tuple[AnsibleModule, Client]:
    formats = {"project": _formats.project_or_number, **kind.formats}
    module = AnsibleModule(
        argument_spec={**_options.common(), **options},
        supports_check_mode=True,
        required_if=[
            ("auth_kind", "access_token", ["access_token"]),
            ("auth_kind", "service_account_file", ["service_account_file"]),
            *kwargs.pop("required_if", ()),
        ],
        **kwargs,
    )
    empty = [name for name, spec in module.argument_spec.items() if spec.get("required") and module.params[name] == ""]
    if empty:  # a variable that is set to an empty string would change the meaning of a path
        module.fail_json(msg=f"{' and '.join(empty)} must not be empty.")
    wrong = _formats.wrong_options(module.params, formats)
    if wrong:
        module.fail_json(msg=" ".join(wrong))
    if _auth.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("google-auth and requests"), exception=_auth.IMPORT_ERROR)
    auth = _auth.AuthOptions.of(module.params)
    try:
        session = _auth.session(auth, module.params["project"])
    except Exception as error:  # google-auth raises its own errors, OSError and ValueError
        module.fail_json(msg=f"No usable Google credentials: {error} {login(auth)}")
    return module, Client(session, project=module.params["project"], timeout=float(module.params["timeout"]))


def fail(module: AnsibleModule, error: GoogleError, what: str, changed: bool, resource: Resource) -> NoReturn:
    project, auth = module.params["project"], _auth.AuthOptions.of(module.params)
    told = resource.explain(error) or advice(error, project, auth)
    message = f"Cannot {what} in project {project}: {error} {told}".rstrip()
    module.fail_json(msg=message, changed=changed, code=error.code, reason=error.reason)
    raise AssertionError  # fail_json does not return


def run(kind: type[Resource], **kwargs: Any) -> None:
    """Run a module. Keyword arguments such as required_if are passed to AnsibleModule."""
    module, client = start(kind, {**_options.state(), **kind.options}, **kwargs)
    resource = kind(client, module.params)
    convergence = Convergence(resource, check_mode=module.check_mode, warn=module.warn)
    try:
        result = convergence.converge(module.params["state"])
    except GoogleError as error:
        changed = convergence.changed and convergence.doing == "update"
        fail(module, error, f"{convergence.doing} {resource.title}", changed, resource)
    except RefusedError as error:
        module.fail_json(msg=str(error), changed=False)
    else:
        extra = {"pending": result.pending} if "wait" in module.params else {}
        extra |= resource.found() | result.more
        module.exit_json(changed=result.changed, resource=result.resource, diff=result.diff, **extra)
