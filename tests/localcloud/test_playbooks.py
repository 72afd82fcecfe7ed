# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Playbooks against a local cloud in memory, beside all other tests: each file of playbooks/ is a test here."""

from __future__ import annotations

import pytest

from tests.programs import Background, Program, playbook_tests


@pytest.mark.parametrize("program", playbook_tests(), ids=lambda program: program.name)
def test_passes(program: Program, background: Background) -> None:
    """All tests of the file pass."""
    assert background.code(program) == 0, f"{program.log}:\n{program.log.read_text()[-10000:]}"
