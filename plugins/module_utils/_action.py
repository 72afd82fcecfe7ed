# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""What is no resource to bring to a state: something is looked at, and then done. Check mode lives here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ._client import GoogleError, Json
from ._resource import RefusedError, Resource, _fail, _start


@dataclass
class Plan:
    """What was found, and whether there is anything to do."""

    changed: bool
    values: Json = field(default_factory=dict)  # to return, also in check mode
    before: Json = field(default_factory=dict)
    after: Json = field(default_factory=dict)


class Action(Resource):
    """Something to do, in two steps. Subclasses set ``options`` and ``doing``; the rest of Resource is at hand."""

    doing = ""  # for messages: "restore …"
    warn: Callable[[str], None] = staticmethod(lambda _: None)

    def look(self) -> Plan:
        """Find out what there is to do and change nothing; raise RefusedError where it cannot be done."""
        raise NotImplementedError

    def carry_out(self, plan: Plan) -> Json:
        """Do it; returns values on top of the plan's."""
        return {}

    def leave(self) -> None:
        """Clean up, however it ended."""


def run_action(kind: type[Action], **kwargs: Any) -> None:
    """A module's main(): keyword arguments such as required_if go to AnsibleModule."""
    module, client = _start(kind, kind.options, **kwargs)
    action = kind(client, module.params)
    action.warn = module.warn
    begun = False
    try:
        plan = action.look()
        begun = plan.changed and not module.check_mode
        values = plan.values | (action.carry_out(plan) if begun else {})
    except GoogleError as error:
        _fail(module, error, action.fill(action.doing), begun, action)
    except RefusedError as error:
        module.fail_json(msg=str(error), changed=begun)
    else:
        module.exit_json(changed=plan.changed, diff={"before": plan.before, "after": plan.after}, **values)
    finally:
        action.leave()
