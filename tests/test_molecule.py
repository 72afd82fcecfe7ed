"""Every molecule scenario is a test: its whole sequence, as `molecule test -s NAME` runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SCENARIOS = sorted(path.parent.name for path in REPOSITORY.glob("molecule/*/molecule.yml"))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: str) -> None:
    """The scenario's sequence ends well; its whole output is kept in artifacts/molecule."""
    log = REPOSITORY / "artifacts" / "molecule" / f"{scenario}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "localcloud", "image", "debian-13"], cwd=REPOSITORY, check=True)
    with log.open("w") as output:
        outcome = subprocess.run(
            ["molecule", "test", "--scenario-name", scenario],
            cwd=REPOSITORY,
            check=False,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    assert outcome.returncode == 0, f"{log}:\n" + "\n".join(log.read_text().splitlines()[-150:])
