"""Every molecule scenario is a test: its whole sequence, as `molecule test -s NAME` runs it."""

from __future__ import annotations

import pytest

from tests.programs import Background, Program, scenarios


@pytest.mark.parametrize("program", scenarios(), ids=lambda program: program.name)
def test_scenario(program: Program, background: Background) -> None:
    """The scenario's sequence ends well."""
    code = background.code(program)
    assert code == 0, f"{program.log}:\n" + "\n".join(program.log.read_text().splitlines()[-150:])
