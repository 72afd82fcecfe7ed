# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Every test that a page of docs/ names exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# `tests/…/test_x.py`, with or without `::test_y`. `…::test_z` is another test of the previous file.
NAMED = re.compile(r"`((?:tests|molecule)/[\w/.]+\.(?:py|yml)|…)(?:::(\w+))?`")
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if NAMED.search(path.read_text()))


def named(text: str) -> Iterator[tuple[str, str]]:
    """Yield each file and test that a page names."""
    file = ""
    for match in NAMED.finditer(text):
        file = file if match[1] == "…" else match[1]
        yield file, match[2] or ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_named_test_is_there(page: Path) -> None:
    assert [f"{file}::{test}" for file, test in named(page.read_text()) if not exists(file, test)] == []


def exists(file: str, test: str) -> bool:
    """Return whether a file and its test exist."""
    path = ROOT / file
    return path.is_file() and (not test or f"def {test}(" in path.read_text())


def test_a_name_without_a_test_is_seen() -> None:
    text = "`tests/unit/docs/test_named_tests.py::test_gone`, `…::test_too`, `tests/unit/docs/test_nothing.py`"
    assert list(named(text)) == [
        ("tests/unit/docs/test_named_tests.py", "test_gone"),
        ("tests/unit/docs/test_named_tests.py", "test_too"),
        ("tests/unit/docs/test_nothing.py", ""),
    ]
