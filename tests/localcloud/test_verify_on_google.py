# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""`make verify-on-google` reads a project of the local cloud."""

from __future__ import annotations

import pathlib
import re

import pytest

from localcloud.commands.env import variables
from scripts import verify_on_google as verify
from tests.localcloud.harness import Local


def test_a_report_of_a_project(local: Local, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setattr(verify, "REPOSITORY", tmp_path)
    for name, value in variables(local.settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("VERIFY_CREATE", raising=False)
    before = local.cloud.calls.mark()
    assert verify.main() == 0
    calls = local.cloud.calls.since(before)
    methods = {call["method"].rsplit(".", 1)[1] for call in calls if call["verb"] != "GET"}
    assert methods <= {"raw", "getEffectiveOrgPolicy"}
    (path,) = (tmp_path / "artifacts").glob("*.md")
    report = path.read_text()
    for line in (
        "quota project: none",
        "| sql | this project | 200 |",
        "| compute | none | 200 |",
        "| secretmanager | ENABLED |",
        "| serviceusage | this project | 200 |",
        '| iam.automaticIamGrantsForDefaultServiceAccounts | {"enforced": true} |',
        "`networks/default`: 404 notFound",
    ):
        assert line in report, report
    assert re.search(r"mlflow-local|\d{12}|@", report) is None, report
