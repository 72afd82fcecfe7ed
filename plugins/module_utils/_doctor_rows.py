# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Results of the doctor's checks: name, state, value and remedy, and their table."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

OK, WARN, FAIL = "ok", "warn", "fail"
WIDTH = 132


@dataclass(frozen=True)
class Row:
    """Result of one check. ``remedy`` is empty if the state is ok."""

    name: str
    state: str
    value: str
    remedy: str = ""

    def document(self) -> dict[str, Any]:
        """Return the result as a dictionary for JSON."""
        return asdict(self)


class UnexaminedError(Exception):
    """A check could not run. The message is the reason. ``remedy`` replaces the check's own remedy."""

    def __init__(self, reason: str, remedy: str = "", state: str = FAIL) -> None:
        super().__init__(reason)
        self.remedy, self.state = remedy, state


def ok(name: str, value: str) -> Row:
    """Return a result without a problem."""
    return Row(name, OK, value)


def warn(name: str, value: str, remedy: str) -> Row:
    """Return a result with a problem that has not broken anything yet."""
    return Row(name, WARN, value, remedy)


def fail(name: str, value: str, remedy: str) -> Row:
    """Return a result with a failure, present or imminent."""
    return Row(name, FAIL, value, remedy)


def graded(name: str, value: str, bad: tuple[bool, bool], remedy: str) -> Row:
    """Return a result by two limits. ``bad`` has two flags: the limit to warn and the limit to fail are exceeded."""
    state = FAIL if bad[1] else WARN if bad[0] else OK
    return Row(name, state, value, remedy if state != OK else "")


def guarded(name: str, check: Callable[[], Row], remedy: str) -> Row:
    """Return the check's result. An error of the check is also a result, so that the other checks still run."""
    try:
        return check()
    except UnexaminedError as error:
        return Row(name, error.state, f"not examined: {error}", error.remedy or remedy)
    except Exception as error:
        return fail(name, f"not examined: {type(error).__name__}: {one_line(error)}", remedy)


def one_line(text: object, longest: int = 300) -> str:
    """Return a text without line breaks, shortened for the table."""
    flat = " ".join(str(text).split())
    return flat if len(flat) <= longest else flat[: longest - 1] + "…"


def counts(rows: Iterable[Row]) -> dict[str, int]:
    """Return the number of results in each state."""
    found = {OK: 0, WARN: 0, FAIL: 0}
    for row in rows:
        found[row.state] += 1
    return found


def table(rows: Sequence[Row], width: int = WIDTH) -> str:
    """Return the results as text for people, with problems in capitals and remedies on separate lines."""
    first = max((len(row.name) for row in rows), default=0) + 2
    room = max(40, width - first - 6)
    lines = []
    for row in rows:
        state = row.state if row.state == OK else row.state.upper()
        head, *rest = _wrapped(row.value, room) or [""]
        lines.append(f"{row.name:<{first}}{state:<6}{head}".rstrip())
        lines += [" " * (first + 6) + line for line in rest]
        if row.remedy:
            remedy = _wrapped(row.remedy, room - 3)
            lines += [" " * (first + 6) + ("-> " if n == 0 else "   ") + line for n, line in enumerate(remedy)]
    found = counts(rows)
    return "\n".join([*lines, f"{found[OK]} ok, {found[WARN]} warn, {found[FAIL]} fail"])


def _wrapped(text: str, room: int) -> list[str]:
    # Do not break commands and paths, so that users can copy them.
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
