# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Each benchmark writes its own section of the results."""

from __future__ import annotations

from pathlib import Path

from benchmarks.results import ratios, spread, table, write


def test_the_section_is_replaced_and_others_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    write(path, "Speed", "first")
    path.write_text(f"{path.read_text()}\n## Speed of another benchmark\n\n7 s\n")
    write(path, "Speed", "second")
    text = path.read_text()
    assert (text.count("## Speed\n"), "first" in text, "second" in text) == (1, False, True)
    assert "## Speed of another benchmark\n\n7 s\n" in text


def test_a_spread_has_minimum_median_and_maximum() -> None:
    assert spread([3.0, 1.04, 2.0, 9.0]) == "1.0 / 2.5 / 9.0"
    assert spread([1.0, 3.0], 2) == "1.00 / 2.00 / 3.00"


def test_a_ratio_compares_measurements_of_one_round() -> None:
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]


def test_a_table() -> None:
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
