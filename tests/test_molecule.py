"""Every molecule scenario is a test: its whole sequence, as `molecule test -s NAME` runs it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SCENARIOS = sorted(path.parent.name for path in REPOSITORY.glob("molecule/*/molecule.yml"))
# The one that waits longest goes first.
ORDER = sorted(SCENARIOS, key=lambda name: name != "upgrade")
AT_ONCE = 2


def log_of(scenario: str) -> Path:
    return REPOSITORY / "artifacts" / "molecule" / f"{scenario}.log"


def run(scenario: str) -> int:
    """The scenario's whole output is kept in artifacts/molecule."""
    log = log_of(scenario)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        return subprocess.run(
            ["molecule", "test", "--scenario-name", scenario],
            cwd=REPOSITORY,
            check=False,
            stdout=output,
            stderr=subprocess.STDOUT,
        ).returncode


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[str, Future[int]]]:
    """They wait more than they work, each in a container of its own: two at a time."""
    subprocess.run([sys.executable, "-m", "localcloud", "image", "debian-13"], cwd=REPOSITORY, check=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {scenario: pool.submit(run, scenario) for scenario in ORDER}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: str, outcomes: dict[str, Future[int]]) -> None:
    """The scenario's sequence ends well."""
    code = outcomes[scenario].result()
    assert code == 0, f"{log_of(scenario)}:\n" + "\n".join(log_of(scenario).read_text().splitlines()[-150:])
