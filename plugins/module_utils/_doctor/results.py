# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Results of the checks: name, state, value and remedy, and their table."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

OK, WARN, FAIL = "ok", "warn", "fail"
WIDTH = 132


@dataclass(frozen=True)
class CheckResult:
    """Result of one check. ``remedy`` is empty if the state is ok."""

    name: str
    state: str
    value: str
    remedy: str = ""

    def document(self) -> dict[str, Any]:
        """Return the result as a dictionary for JSON."""
        return asdict(self)


class NotCheckedError(Exception):
    """A check could not run. The message is the reason. ``remedy`` replaces the check's own remedy."""

    def __init__(self, reason: str, remedy: str = "", state: str = FAIL) -> None:
        super().__init__(reason)
        self.remedy, self.state = remedy, state


def ok(name: str, value: str) -> CheckResult:
    """Return a result without a problem."""
    return CheckResult(name, OK, value)


def warn(name: str, value: str, remedy: str) -> CheckResult:
    """Return a result with a problem that has not broken anything yet."""
    return CheckResult(name, WARN, value, remedy)


def fail(name: str, value: str, remedy: str) -> CheckResult:
    """Return a result with a failure, present or imminent."""
    return CheckResult(name, FAIL, value, remedy)


def graded(name: str, value: str, exceeded: tuple[bool, bool], remedy: str) -> CheckResult:
    """Return a result by two limits. ``exceeded`` has a flag for the limit to warn and for the limit to fail."""
    state = FAIL if exceeded[1] else WARN if exceeded[0] else OK
    return CheckResult(name, state, value, remedy if state != OK else "")


def guarded(name: str, check: Callable[[], CheckResult], remedy: str) -> CheckResult:
    """Return the check's result. An error of the check is also a result, so that the other checks still run."""
    try:
        return check()
    except NotCheckedError as error:
        return CheckResult(name, error.state, f"not checked: {error}", error.remedy or remedy)
    except Exception as error:
        return fail(name, f"not checked: {type(error).__name__}: {one_line(error)}", remedy)


def one_line(text: object, longest: int = 300) -> str:
    """Return a text without line breaks, shortened for the table."""
    flat = " ".join(str(text).split())
    return flat if len(flat) <= longest else flat[: longest - 1] + "…"


def counts(results: Iterable[CheckResult]) -> dict[str, int]:
    """Return the number of results in each state."""
    found = {OK: 0, WARN: 0, FAIL: 0}
    for result in results:
        found[result.state] += 1
    return found


def table(results: Sequence[CheckResult], width: int = WIDTH) -> str:
    """Return the results as text for people, with problems in capitals and remedies on separate lines."""
    first = max((len(result.name) for result in results), default=0) + 2
    room = max(40, width - first - 6)
    lines = []
    for result in results:
        state = result.state if result.state == OK else result.state.upper()
        head, *rest = _wrapped(result.value, room) or [""]
        lines.append(f"{result.name:<{first}}{state:<6}{head}".rstrip())
        lines += [" " * (first + 6) + line for line in rest]
        if result.remedy:
            remedy = _wrapped(result.remedy, room - 3)
            lines += [" " * (first + 6) + ("-> " if n == 0 else "   ") + line for n, line in enumerate(remedy)]
    found = counts(results)
    return "\n".join([*lines, f"{found[OK]} ok, {found[WARN]} warn, {found[FAIL]} fail"])


def _wrapped(text: str, room: int) -> list[str]:
    # Do not break commands and paths, so that users can copy them.
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
