# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m localcloud coverage` describes the handlers and the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcloud import services
from localcloud.__main__ import main
from localcloud.commands import coverage


def test_the_page_is_current() -> None:
    assert main(["coverage", "--check"]) == 0


def test_a_page_that_is_not_current_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(coverage, "PAGE", tmp_path / "COVERAGE.md")
    assert main(["coverage", "--check"]) == 1
    assert "Run: python -m localcloud coverage" in capsys.readouterr().err
    assert main(["coverage"]) == 0
    assert main(["coverage", "--check"]) == 0


def test_it_has_the_emulated_and_the_other_methods() -> None:
    text = coverage.page(services.load())
    secrets = text.partition("## secretmanager v1\n")[2].partition("\n## ")[0]
    assert "- projects.secrets.versions: access, destroy, disable, enable, get, list.\n" in secrets
    assert "- projects.locations: get, list" not in secrets
    zones = text.partition("## compute v1\n")[2].partition("- zones: ")[2]
    assert zones.startswith("get, list.\n")
    assert "autoscalers" in zones.partition("Collections without an emulated method: ")[2].partition("\n## ")[0]
