"""Every linter is a test, so that one summary covers all checks."""

from __future__ import annotations

import pytest

from tests.programs import Background, Program, linters


@pytest.mark.parametrize("program", linters(), ids=lambda program: program.name)
def test_is_clean(program: Program, background: Background) -> None:
    """`make LINTER` finds nothing."""
    assert background.code(program) == 0, program.log.read_text()
