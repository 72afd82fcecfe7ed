"""Every linter is a test, so that one summary speaks for all. They run two at a time, as in `make lint`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
LINTERS = subprocess.run(
    ["make", "-s", "lint-list"], cwd=REPOSITORY, check=True, capture_output=True, text=True
).stdout.split()

Outcome = subprocess.CompletedProcess[str]


def run(linter: str) -> Outcome:
    """One linter, as a person starts it; both its streams in the order they came."""
    return subprocess.run(
        ["make", linter], cwd=REPOSITORY, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.fixture(scope="session")
def outcomes() -> Iterator[dict[str, Future[Outcome]]]:
    """All linters, started; the slowest is the last of the list, so it begins first."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield {linter: pool.submit(run, linter) for linter in reversed(LINTERS)}


@pytest.mark.parametrize("linter", LINTERS)
def test_is_clean(linter: str, outcomes: dict[str, Future[Outcome]]) -> None:
    """`make LINTER` finds nothing."""
    outcome = outcomes[linter].result()
    assert outcome.returncode == 0, outcome.stdout
