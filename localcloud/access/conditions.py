# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The part of IAM's condition language (CEL) that policies on a project's resources use.

`resource.name`, `resource.type` and `resource.service` with ==, !=, startsWith, endsWith and matches; `request.time`
against `timestamp("…")`; joined by &&, ||, ! and parentheses. An unsupported expression grants nothing, and the server
logs it.
"""

from __future__ import annotations

import datetime
import functools
import logging
import re

_log = logging.getLogger(__name__)
_TOKEN = re.compile(
    r"\s*(?:(?P<op>&&|\|\||==|!=|<=|>=|<|>|!|\(|\)|,|\.)|(?P<str>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')|(?P<id>\w+))"
)


class _UnsupportedError(Exception):
    pass


def holds(expression: str, resource: str, now: float, kind: str = "") -> bool:
    """Return whether a condition is true for a full resource name (`//host/projects/…`) at a time in epoch seconds.

    `kind` is the `resource.type`. A condition on an unknown type is unsupported.
    """
    try:
        parser = _Parser(expression, resource, now, kind)
        value = parser.either()
        if parser.tokens:
            raise _UnsupportedError
        return value is True
    except (_UnsupportedError, IndexError, TypeError, ValueError, re.error):
        _report(expression)
        return False


@functools.lru_cache(maxsize=1000)
def _report(expression: str) -> None:
    """Log an expression once."""
    _log.warning("The local cloud does not support the condition %r. It grants nothing.", expression)


class _Parser:
    def __init__(self, text: str, resource: str, now: float, kind: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        position = 0
        text = text.rstrip()
        while position < len(text):
            found = _TOKEN.match(text, position)
            if not found or not found.lastgroup:
                raise _UnsupportedError
            self.tokens.append((found.lastgroup, found[found.lastgroup]))
            position = found.end()
        host, _, name = resource.removeprefix("//").partition("/")
        self.names = {"resource.name": name, "resource.service": host} | ({"resource.type": kind} if kind else {})
        self.now = now

    def _next(self, *operators: str) -> str | None:
        # A string has its quotes and a name has letters, so neither equals an operator.
        if self.tokens and self.tokens[0][1] in operators:
            return self.tokens.pop(0)[1]
        return None

    def _expect(self, operator: str) -> None:
        if not self._next(operator):
            raise _UnsupportedError

    def either(self) -> object:
        value = self.both()
        while self._next("||"):
            other = self.both()
            value = value is True or other is True
        return value

    def both(self) -> object:
        value = self.compared()
        while self._next("&&"):
            other = self.compared()
            value = value is True and other is True
        return value

    def compared(self) -> object:
        left = self.term()
        operator = self._next("==", "!=", "<", "<=", ">", ">=")
        if not operator:
            return left
        right = self.term()
        if operator in ("==", "!="):
            return (left == right) is (operator == "==")
        if not isinstance(left, float) or not isinstance(right, float):
            raise _UnsupportedError
        return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator]

    def term(self) -> object:
        if self._next("!"):
            value = self.term()
            if not isinstance(value, bool):
                raise _UnsupportedError
            return not value
        if self._next("("):
            value = self.either()
            self._expect(")")
            return value
        kind, text = self.tokens.pop(0)
        if kind == "str":
            return re.sub(r"\\(.)", r"\1", text[1:-1])
        if text in ("true", "false"):
            return text == "true"
        if text == "timestamp":
            self._expect("(")
            value = self.term()
            self._expect(")")
            return datetime.datetime.fromisoformat(str(value)).timestamp()
        self._expect(".")
        name = f"{text}.{self.tokens.pop(0)[1]}"
        if name == "request.time":
            return self.now
        if name not in self.names:
            raise _UnsupportedError
        subject = self.names[name]
        if not self._next("."):
            return subject
        function = self.tokens.pop(0)[1]
        self._expect("(")
        argument = str(self.term())
        self._expect(")")
        if function == "startsWith":
            return subject.startswith(argument)
        if function == "endsWith":
            return subject.endswith(argument)
        if function == "matches":
            return re.search(argument, subject) is not None
        raise _UnsupportedError
