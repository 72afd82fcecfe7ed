# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Every unit that uses google-auth on the VM asks the metadata server over HTTP."""

from __future__ import annotations

import pytest
from mlflowctl.job_unit import SANDBOX

from tests.unit.roles.evaluated import ROLES

SETTING = "Environment=GCE_METADATA_MTLS_MODE=none"


@pytest.mark.parametrize(
    "template", ["mlflow/templates/mlflow@.service.j2", "credentials/templates/mlflow-credentials.service.j2"]
)
def test_units_of_templates(template: str) -> None:
    service = (ROLES / template).read_text().partition("[Service]\n")[2]
    assert SETTING in service.splitlines()


def test_units_of_jobs() -> None:
    assert SETTING in SANDBOX
