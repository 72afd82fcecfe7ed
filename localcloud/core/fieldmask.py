# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Partial responses: the `fields` parameter (`items(name,labels/app),nextPageToken`)."""

from __future__ import annotations

from typing import Any, cast

from localcloud.core.errors import ApiError

Json = dict[str, Any]


def apply(document: Json, mask: str) -> Json:
    """Return the document with only the fields of the mask. Raises 400 for a malformed mask."""
    tree, end = _parse(mask, 0)
    if end != len(mask):
        raise ApiError(400, "invalidParameter", f"Invalid field selection {mask}")
    return cast(Json, _select(document, tree))


def _parse(text: str, at: int) -> tuple[Json, int]:
    tree: Json = {}
    while True:
        start = at
        while at < len(text) and text[at] not in ",()":
            at += 1
        parts = [p for p in text[start:at].strip().replace(".", "/").split("/") if p]
        if not parts:
            raise ApiError(400, "invalidParameter", f"Invalid field selection {text}")
        into = tree
        for part in parts[:-1]:
            into = into.setdefault(part, {})
        leaf = into.setdefault(parts[-1], {})
        if at < len(text) and text[at] == "(":
            inner, at = _parse(text, at + 1)
            if at >= len(text) or text[at] != ")":
                raise ApiError(400, "invalidParameter", f"Invalid field selection {text}")
            leaf.update(inner)
            at += 1
        if at >= len(text) or text[at] != ",":
            return tree, at
        at += 1


def _select(value: Any, tree: Json) -> Any:
    if not tree or not isinstance(value, dict | list):
        return value
    if isinstance(value, list):
        return [_select(item, tree) for item in value]
    if "*" in tree:
        return {k: _select(v, tree[k] if k in tree else tree["*"]) for k, v in value.items()}
    return {k: _select(v, tree[k]) for k, v in value.items() if k in tree}
