"""Every molecule scenario is a test: its whole sequence, as in `molecule test -s NAME`."""

from __future__ import annotations

import pytest

from tests.programs import Background, Program, scenarios


@pytest.mark.parametrize("program", scenarios(), ids=lambda program: program.name)
def test_scenario(program: Program, background: Background) -> None:
    """The scenario's sequence succeeds."""
    code = background.code(program)
    assert code == 0, f"{program.log}:\n" + "\n".join(program.log.read_text().splitlines()[-150:])
