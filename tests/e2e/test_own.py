# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Run each file of own/ as a test. These files have a separate deployment and run in parallel with the other tests."""

from __future__ import annotations

import pytest

from tests.programs import Background, Program, own_deployments


@pytest.mark.parametrize("program", own_deployments(), ids=lambda program: program.name)
def test_passes(program: Program, local_cloud: None, background: Background) -> None:
    """Assert that all tests of the file pass."""
    assert background.code(program) == 0, f"{program.log}:\n{program.log.read_text()[-10000:]}"
