# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Deletion of resources. Refused while the resource is in use, in the answer to the call and in the operation.

The deletion of a network is refused in the operation only.
"""

from __future__ import annotations

from collections.abc import Callable

from localcloud.framework.cloud import Cloud, Work, step
from localcloud.framework.service import Call, Json
from localcloud.services.compute import netstate
from localcloud.services.compute.api import operation, ready, resources

Check = Callable[["Cloud", Json], None]
_CHECKS: dict[str, Check] = {}
_ALONG: dict[str, Check] = {}
_LATE = frozenset({"networks"})


def checked_by(kind: str, check: Check, along: Check | None = None) -> None:
    """Register two functions: `check` raises while a resource of the kind is in use; `along` removes its dependents."""
    _CHECKS[kind] = check
    if along is not None:
        _ALONG[kind] = along


def delete(call: Call, kind: str, name: str) -> Json:
    """Return the answer to a delete call."""

    def change() -> Json:
        document = resources(call.cloud, kind).get(name)
        ready(call.cloud, name)
        if kind not in _LATE:
            _CHECKS[kind](call.cloud, document)
        return document

    return operation(call, "delete", name, change, run="compute.remove", args={"kind": kind})


@step("compute.remove")
def _remove(work: Work) -> None:
    kind, name = work.args["kind"], work.args["name"]
    with work.cloud.store.transaction():
        document = resources(work.cloud, kind).find(name)
        if document is not None:
            _CHECKS[kind](work.cloud, document)
            if kind in _ALONG:
                _ALONG[kind](work.cloud, document)
            resources(work.cloud, kind).delete(name)
    netstate.apply(work.cloud)
