# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Facts that the role collected on the VM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._client import Json
from .remedies import CONFIGURE
from .results import NotCheckedError, one_line


def facts_of(answer: Mapping[str, Any] | None) -> Json:
    """Return the facts of the VM with the time of the request, or `error` with the reason why there are none."""
    if not answer:
        return {"error": "the facts of the VM were not collected"}
    response = answer.get("response") or {}
    if not response:
        return {"error": f"the inventory has no running VM {answer['vm']}"}
    if response.get("rc", 1) != 0:
        return {"error": response.get("msg") or "no answer"}
    return {**response["result"], "asked_at": answer["asked_at"], "answered_at": answer["answered_at"]}


def part(facts: Mapping[str, Any], name: str) -> Any:
    """Return a part of the facts. Raise NotCheckedError if it was not collected."""
    if "error" in facts:
        raise NotCheckedError("the facts of the VM cannot be read", "see the check vm")
    found = facts.get(name)
    if found is None:
        raise NotCheckedError(f"the VM reported nothing about {name}", CONFIGURE)
    if isinstance(found, dict) and set(found) == {"error"}:
        raise NotCheckedError(one_line(found["error"]), CONFIGURE)
    return found
