# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Links between the documents, and the names of documents in messages, lead to existing files and headings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("localcloud/*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("roles/*/README.md")]
)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
NAMED = re.compile(r"\bdocs/[\w/-]+\.md\b")


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub creates for the headings of a document."""
    headings = HEADING.findall(CODE.sub("", document.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(document: Path) -> list[str]:
    """Return the links of a document that lead nowhere."""
    found = []
    for path, anchor in LINK.findall(CODE.sub("", document.read_text(encoding="utf-8"))):
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(f"{path}#{anchor}" if anchor else path)
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    assert broken(document) == []


def test_the_index_names_every_page_of_an_operation() -> None:
    folder = ROOT / "docs" / "operations"
    linked = {path for path, _anchor in LINK.findall((folder / "README.md").read_text(encoding="utf-8"))}
    assert {path.name for path in folder.glob("*.md")} - {"README.md"} <= linked


def test_messages_and_comments_name_existing_documents() -> None:
    texts = [
        path
        for folder in ("plugins", "playbooks", "roles", "scripts", "group_vars", "inventory", "tests", "localcloud")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".yml", ".sh", ".j2", ".md"} and path.is_file()
    ]
    missing = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in texts
        for name in NAMED.findall(path.read_text(encoding="utf-8"))
        if not (ROOT / name).exists()
    }
    assert missing == set()
