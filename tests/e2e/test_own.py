# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""What has a deployment of its own runs beside the tests of the common one: each file of own/ is a test here."""

from __future__ import annotations

import pytest

from tests.programs import Background, Program, own_deployments


@pytest.mark.parametrize("program", own_deployments(), ids=lambda program: program.name)
def test_passes(program: Program, local_cloud: None, background: Background) -> None:
    """All of its tests do."""
    assert background.code(program) == 0, f"{program.log}:\n{program.log.read_text()[-10000:]}"
