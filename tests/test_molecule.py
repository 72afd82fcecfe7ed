"""Every molecule scenario is a test: its whole sequence, as `molecule test -s NAME` runs it."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from tests.scenarios import REPOSITORY, log_of

SCENARIOS = sorted(path.parent.name for path in REPOSITORY.glob("molecule/*/molecule.yml"))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: str, scenarios: dict[str, Future[int]]) -> None:
    """The scenario's sequence ends well."""
    code = scenarios[scenario].result()
    assert code == 0, f"{log_of(scenario)}:\n" + "\n".join(log_of(scenario).read_text().splitlines()[-150:])
