# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the upload speed writes its own section of the results."""

from __future__ import annotations

from pathlib import Path

from benchmarks.artifact_speed import TITLE, write


def test_the_section_is_replaced_and_others_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    write(path, "first")
    path.write_text(f"{path.read_text()}\n## Another benchmark\n\n7 s\n")
    write(path, "second")
    text = path.read_text()
    assert (text.count(TITLE), "first" in text, "second" in text) == (1, False, True)
    assert "## Another benchmark\n\n7 s\n" in text
