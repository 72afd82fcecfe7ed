"""Every linter is a test, so that one summary speaks for all."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from tests.programs import Program, linters


@pytest.mark.parametrize("program", linters(), ids=lambda program: program.name)
def test_is_clean(program: Program, outcomes: dict[Program, Future[int]]) -> None:
    """`make LINTER` finds nothing."""
    assert outcomes[program].result() == 0, program.log.read_text()
