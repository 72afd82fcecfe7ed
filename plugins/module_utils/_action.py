# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Run a task that does not manage a resource: plan the work, then do it. Handles check mode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ._client import GoogleError, Json
from ._errors import RefusedError
from ._module import fail, start
from ._resource import Resource


@dataclass
class Plan:
    """The findings, and whether there is work to do."""

    changed: bool
    values: Json = field(default_factory=dict)  # returned, also in check mode
    before: Json = field(default_factory=dict)
    after: Json = field(default_factory=dict)


class Action(Resource):
    """Work in two steps. Subclasses set ``options`` and ``doing``, and can use the methods of Resource."""

    doing = ""  # for messages: "restore …"
    warn: Callable[[str], None] = staticmethod(lambda _: None)

    def look(self) -> Plan:
        """Return the plan without any change. Raise RefusedError if the work is impossible."""
        raise NotImplementedError

    def carry_out(self, plan: Plan) -> Json:
        """Do the work and return values in addition to the plan's."""
        return {}

    def leave(self) -> None:
        """Clean up after success or failure."""


def run_action(kind: type[Action], **kwargs: Any) -> None:
    """Run a module. Keyword arguments such as required_if are passed to AnsibleModule."""
    module, client = start(kind, kind.options, **kwargs)
    action = kind(client, module.params)
    action.warn = module.warn
    begun = False
    try:
        plan = action.look()
        begun = plan.changed and not module.check_mode
        values = plan.values | (action.carry_out(plan) if begun else {})
    except GoogleError as error:
        fail(module, error, action.fill(action.doing), begun, action)
    except RefusedError as error:
        module.fail_json(msg=str(error), changed=begun)
    else:
        module.exit_json(changed=plan.changed, diff={"before": plan.before, "after": plan.after}, **values)
    finally:
        action.leave()
