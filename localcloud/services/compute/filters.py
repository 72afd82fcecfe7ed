# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The two filter languages of Compute Engine's list methods.

New: `labels.app=mlflow AND (status="RUNNING" OR name:web*) NOT zone:b`; adjacent terms are joined by AND. Old, which
gcloud sends: `(name eq ".*web.*") (status ne TERMINATED)`; operands are regular expressions that match the whole value.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from fnmatch import translate
from typing import Any

Json = dict[str, Any]
Predicate = Callable[[Json], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<paren>[()])|(?P<op>!=|<=|>=|=|<|>|:)|\"(?P<double>(?:\\.|[^\"\\])*)\"|'(?P<single>(?:\\.|[^'\\])*)'"
    r"|(?P<minus>-)(?=[\w(])|(?P<word>[^\s()=<>!:\"']+))"
)
_OPERATORS = ("=", "!=", "<", "<=", ">", ">=", ":", "eq", "ne")


class FilterError(ValueError):
    """The expression cannot be parsed."""


def compile_filter(text: str) -> Predicate:
    """Return a predicate over resources from a filter expression. Raises FilterError."""
    parser = _Parser(_tokens(text))
    predicate = parser.conjunction()
    if parser.peek() is not None:
        raise FilterError(f"Unexpected '{parser.peek()}'.")
    return predicate


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    position = 0
    while text[position:].strip():
        # An operand of the old language may be an unquoted regular expression with any character but blanks.
        if found and found[-1] in (("word", "eq"), ("word", "ne")) and len(found) > 1:
            bare = re.compile(r"\s*([^\s\"'][^\s]*)").match(text, position)
            if bare:
                operand = _balanced(bare[1])
                found.append(("text", operand))
                position = bare.start(1) + len(operand)
                continue
        match = _TOKEN.match(text, position)
        if match is None:
            raise FilterError(f"Unexpected '{text[position:].strip()[:20]}'.")
        kind = str(match.lastgroup)
        value = match[kind]
        if kind in ("double", "single"):
            # Regular expressions keep their backslashes, except before a quote.
            kind, value = "text", re.sub(r"\\([\"'])", r"\1", value)
        found.append((kind, value))
        position = match.end()
    return found


def _balanced(text: str) -> str:
    """Return the text before the first unbalanced closing parenthesis."""
    depth = 0
    for index, char in enumerate(text):
        if index and text[index - 1] == "\\":
            continue
        depth += (char == "(") - (char == ")")
        if depth < 0:
            return text[:index]
    return text


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._position = 0

    def peek(self) -> str | None:
        return self._tokens[self._position][1] if self._position < len(self._tokens) else None

    def _is(self, kind: str, *values: str) -> bool:
        if self._position >= len(self._tokens):
            return False
        token = self._tokens[self._position]
        return token[0] == kind and token[1] in values

    def _next(self) -> tuple[str, str]:
        if self._position >= len(self._tokens):
            raise FilterError("Unexpected end.")
        self._position += 1
        return self._tokens[self._position - 1]

    def conjunction(self) -> Predicate:
        """Parse adjacent terms or terms joined by AND; an OR between two terms binds tighter (AIP-160)."""
        terms = [self._disjunction()]
        while self.peek() is not None and not self._is("paren", ")"):
            if self._is("word", "AND"):
                self._next()
            terms.append(self._disjunction())
        return lambda item: all(term(item) for term in terms)

    def _disjunction(self) -> Predicate:
        terms = [self._negation()]
        while self._is("word", "OR"):
            self._next()
            terms.append(self._negation())
        return lambda item: any(term(item) for term in terms)

    def _negation(self) -> Predicate:
        if self._is("word", "NOT") or self._is("minus", "-"):
            self._next()
            inner = self._negation()
            return lambda item: not inner(item)
        if self._is("paren", "("):
            self._next()
            inside = self.conjunction()
            if not self._is("paren", ")"):
                raise FilterError("A parenthesis is not closed.")
            self._next()
            return inside
        return self._comparison()

    def _comparison(self) -> Predicate:
        kind, field = self._next()
        if kind not in ("word", "text"):
            raise FilterError(f"Unexpected '{field}'.")
        _, operator = self._next()
        if operator not in _OPERATORS:
            raise FilterError(f"'{operator}' is no operator.")
        kind, operand = self._next()
        if kind not in ("word", "text"):
            raise FilterError(f"Unexpected '{operand}'.")
        path = field.split(".")
        matches = _matcher(operator, operand)
        if operator in ("!=", "ne"):
            return lambda item: not any(matches(value) for value in _values(item, path))
        return lambda item: any(matches(value) for value in _values(item, path))


def _matcher(operator: str, operand: str) -> Callable[[Any], bool]:
    if operator in ("eq", "ne"):
        try:
            pattern = re.compile(operand)
        except re.error as error:
            raise FilterError(f"'{operand}' is no regular expression.") from error
        return lambda value: pattern.fullmatch(_text(value)) is not None
    if operator in ("=", "!="):
        if "*" in operand:
            glob = re.compile(translate(operand.replace("[", "[[]").replace("?", "[?]")))
            return lambda value: glob.match(_text(value)) is not None
        return lambda value: _text(value) == operand
    if operator == ":":
        glob = re.compile(translate(operand.replace("[", "[[]").replace("?", "[?]")), re.IGNORECASE)
        word = re.compile(rf"(?<!\w){re.escape(operand)}(?!\w)", re.IGNORECASE)
        return lambda value: (glob.match(_text(value)) if "*" in operand else word.search(_text(value))) is not None
    return lambda value: _ordered(operator, value, operand)


def _ordered(operator: str, value: Any, operand: str) -> bool:
    left: Any = _text(value)
    right: Any = operand
    with contextlib.suppress(ValueError):
        left, right = float(left), float(right)
    return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator])


def _values(value: Any, path: list[str]) -> list[Any]:
    """Return all values at a path. Lists are searched; `labels.a.b` may be the label `a.b`."""
    if isinstance(value, list):
        return [found for item in value for found in _values(item, path)]
    if not path:
        return list(value) if isinstance(value, dict) else [value]
    if not isinstance(value, dict):
        return []
    whole = ".".join(path)
    if whole in value:
        return _values(value[whole], [])
    head = path[0] if path[0] in value else _camel(path[0])
    return _values(value[head], path[1:]) if head in value else []


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(p.capitalize() for p in rest)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
