# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Options, base class and start of the modules for an MLflow server.

The documentation of the options is in plugins/doc_fragments/mlflow.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NoReturn, cast
from urllib.parse import quote

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib

from . import _options
from ._client import Client
from ._convergence import Convergence
from ._errors import RefusedError
from ._mlflow_advice import advice
from ._mlflow_client import DEFAULT_WORKSPACE, IMPORT_ERROR, V2, V3, MlflowClient, MlflowError, basic, bearer
from ._resource import Resource

_USER_INFO = re.compile(r"^(\w+://)[^/]*@")


class MlflowResource(Resource):
    """One kind of object of an MLflow server. Subclasses read and change it through ``server``."""

    def __init__(self, server: MlflowClient, params: Mapping[str, Any]) -> None:
        # The base class and the convergence use only ``retry`` and ``deadline`` of the client here.
        super().__init__(cast(Client, server), params)
        self.server = server

    def check_workspace(self) -> None:
        """Raise MlflowError if the workspace does not exist.

        In a missing workspace, MLflow answers RESOURCE_DOES_NOT_EXIST to each request. A user would seem to be absent.
        """
        workspace = self.params["workspace"]
        if workspace != DEFAULT_WORKSPACE:
            self.server.get(f"{V3}/workspaces/{quote(workspace, safe='')}")

    def experiment_id(self, name: str) -> str | None:
        """Return the ID of an experiment, or None if there is no experiment of this name."""
        found = self.server.find(f"{V2}/experiments/get-by-name", experiment_name=name)
        return str(found["experiment"]["experiment_id"]) if found else None


def connection() -> _options.Spec:
    """Return the options for the connection to the server (fragment ``mlops.mlflow_gcp.mlflow``)."""
    return {
        "tracking_uri": {"type": "str", "required": True, "fallback": (env_fallback, ["MLFLOW_TRACKING_URI"])},
        "tracking_username": {"type": "str", "fallback": (env_fallback, ["MLFLOW_TRACKING_USERNAME"])},
        "tracking_password": {
            "type": "str",
            "no_log": True,
            "fallback": (env_fallback, ["MLFLOW_TRACKING_PASSWORD"]),
        },
        "tracking_token": {"type": "str", "no_log": True, "fallback": (env_fallback, ["MLFLOW_TRACKING_TOKEN"])},
        "ca_path": {"type": "path", "fallback": (env_fallback, ["MLFLOW_TRACKING_SERVER_CERT_PATH"])},
        "validate_certs": {"type": "bool", "default": True},
        "timeout": {"type": "int", "default": 120},
        "workspace": {"type": "str", "default": DEFAULT_WORKSPACE},
    }


def wrong_uri(uri: str) -> str:
    """Return the error in the address of a server, or an empty string. The error contains no password."""
    if _USER_INFO.match(uri):
        hidden = _USER_INFO.sub(r"\1…@", uri)
        return f"tracking_uri ({hidden}) must not contain a user. Set tracking_username and tracking_password."
    if not re.match(r"https?://[^/?#\s]+(/[^?#\s]*)?$", uri):
        return f"tracking_uri ({uri}) must be an address such as https://mlflow.example.com."
    return ""


def connect(params: Mapping[str, Any]) -> MlflowClient:
    """Return a client for the options of a module."""
    token = params["tracking_token"]
    user = (params["tracking_username"], params["tracking_password"])
    return MlflowClient(
        params["tracking_uri"],
        basic(*user) if user[0] else bearer(token),
        workspace=params["workspace"],
        verify=(params["ca_path"] or True) if params["validate_certs"] else False,
        timeout=float(params["timeout"]),
    )


def run_mlflow(kind: type[MlflowResource], **kwargs: Any) -> None:
    """Run a module. Keyword arguments such as required_if are passed to AnsibleModule."""
    module = AnsibleModule(
        argument_spec={**connection(), **_options.state(), **kind.options},
        supports_check_mode=True,
        required_together=[("tracking_username", "tracking_password")],
        required_one_of=[("tracking_username", "tracking_token"), *kwargs.pop("required_one_of", ())],
        **kwargs,
    )
    wrong = wrong_uri(module.params["tracking_uri"])
    required = [name for name, spec in module.argument_spec.items() if spec.get("required")]
    empty = [name for name in [*required, "workspace"] if module.params[name] == ""]
    if empty or wrong:
        module.fail_json(msg=f"{' and '.join(empty)} must not be empty." if empty else wrong)
    if IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("requests"), exception=IMPORT_ERROR)
    resource = kind(connect(module.params), module.params)
    convergence: Convergence | None = None
    try:
        resource.check_workspace()
        convergence = Convergence(resource, check_mode=module.check_mode, warn=module.warn)
        result = convergence.converge(module.params["state"])
    except MlflowError as error:
        _fail(module, resource, convergence, error)
    except RefusedError as error:
        module.fail_json(msg=str(error), changed=_has_changed(convergence))
    else:
        module.exit_json(changed=result.changed, resource=result.resource, diff=result.diff)


def _has_changed(convergence: Convergence | None) -> bool:
    return bool(convergence and convergence.changed and convergence.doing == "update")


def _fail(
    module: AnsibleModule, resource: MlflowResource, convergence: Convergence | None, error: MlflowError
) -> NoReturn:
    uri, doing = module.params["tracking_uri"], convergence.doing if convergence else "read"
    module.fail_json(
        msg=f"Cannot {doing} {resource.title} of {uri}: {error} {advice(error, uri)}".rstrip(),
        changed=_has_changed(convergence),
        code=error.code,
        reason=error.reason,
    )
    raise AssertionError  # fail_json does not return
