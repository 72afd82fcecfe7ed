# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""What the doctor says: rows of a name, a state, a value and a remedy, and the table made of them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

OK, WARN, FAIL = "ok", "warn", "fail"
WIDTH = 132


@dataclass(frozen=True)
class Row:
    """One check's outcome. ``remedy`` says what to do; where all is well there is none."""

    name: str
    state: str
    value: str
    remedy: str = ""

    def document(self) -> dict[str, Any]:
        """The row as JSON has it."""
        return asdict(self)


class UnexaminedError(Exception):
    """A check could not be made. The text says why; ``remedy`` replaces the check's own."""

    def __init__(self, reason: str, remedy: str = "", state: str = FAIL) -> None:
        super().__init__(reason)
        self.remedy, self.state = remedy, state


def ok(name: str, value: str) -> Row:
    """All is well."""
    return Row(name, OK, value)


def warn(name: str, value: str, remedy: str) -> Row:
    """Worth a look, and nothing is broken yet."""
    return Row(name, WARN, value, remedy)


def fail(name: str, value: str, remedy: str) -> Row:
    """Broken, or about to be."""
    return Row(name, FAIL, value, remedy)


def graded(name: str, value: str, bad: tuple[bool, bool], remedy: str) -> Row:
    """A row by two limits: ``bad`` tells whether the one that warns and the one that fails is crossed."""
    state = FAIL if bad[1] else WARN if bad[0] else OK
    return Row(name, state, value, remedy if state != OK else "")


def guarded(name: str, check: Callable[[], Row], remedy: str) -> Row:
    """The check's row. Whatever goes wrong in it becomes a row too, so that the rest is still examined."""
    try:
        return check()
    except UnexaminedError as error:
        return Row(name, error.state, f"not examined: {error}", error.remedy or remedy)
    except Exception as error:
        return fail(name, f"not examined: {type(error).__name__}: {one_line(error)}", remedy)


def one_line(text: object, longest: int = 300) -> str:
    """A text without line breaks, cut to a length that a table bears."""
    flat = " ".join(str(text).split())
    return flat if len(flat) <= longest else flat[: longest - 1] + "…"


def counts(rows: Iterable[Row]) -> dict[str, int]:
    """How many rows are in which state."""
    found = {OK: 0, WARN: 0, FAIL: 0}
    for row in rows:
        found[row.state] += 1
    return found


def table(rows: Sequence[Row], width: int = WIDTH) -> str:
    """The rows for people: what is wrong in capitals, its remedy on a line of its own."""
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
    # Commands and paths are not broken, so that they can be copied.
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
