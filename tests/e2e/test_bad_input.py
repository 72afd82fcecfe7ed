# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Bad input does not change a working site.

tests/localcloud/playbooks/test_bad_input.py has the other cases, in an empty project.
"""

from __future__ import annotations

import json

import pytest

from tests.e2e.deployment import Deployment, changes

CASES = {
    "a place that is fixed once built": ({"infrastructure_bucket_location": "US"}, "cannot change location"),
    "unknown setting of a role on the VM": ({"mlflow_worker": 3}, "Did you mean mlflow_workers?"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_setting(site: Deployment, case: str) -> None:
    settings, words = CASES[case]
    done = site.playbook("site.yml", "-e", json.dumps(settings), check=False, log="bad-input")
    assert done.returncode != 0
    said = " ".join(done.stdout.split())  # The callback folds long lines.
    assert next(iter(settings)) in said
    assert words in said
    assert changes(done.stdout) == {"localhost": 0}
