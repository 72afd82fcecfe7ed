# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""RESULTS.md: one section for each benchmark."""

from __future__ import annotations

import os
import re
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Return minimum, median and maximum."""
    return " / ".join(f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))


def ratios(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Return the ratio of two measurements for each round."""
    return [one / other for one, other in zip(first, second, strict=True)]


def conditions(benchmark: str) -> str:
    """Return the sentences about the host, the date and the command of a measurement."""
    host = f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}, {datetime.now(UTC):%Y-%m-%d}"
    return f"{host}. Command: `python -m benchmarks {benchmark} --write`."


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (columns, ["---"] * len(columns), *rows))


def write(path: Path, title: str, text: str) -> None:
    """Replace the section with this title, or add it."""
    found = path.read_text(encoding="utf-8") if path.exists() else "# Results of the benchmarks\n"
    sections = [each for each in re.split(r"\n(?=## )", found.strip()) if not each.startswith(f"## {title}\n")]
    path.write_text("\n\n".join(each.strip() for each in [*sections, f"## {title}\n\n{text}"]) + "\n", encoding="utf-8")
