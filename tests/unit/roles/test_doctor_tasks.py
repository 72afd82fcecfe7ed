# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Expressions of the doctor's tasks, evaluated as Ansible does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).resolve().parents[3] / "roles" / "doctor"


def task(file: str, name: str) -> dict[str, Any]:
    tasks = yaml.safe_load((ROLE / "tasks" / file).read_text(encoding="utf-8"))
    (found,) = [each for each in tasks if each["name"] == name]
    return dict(found)


def evaluated(text: str, **variables: Any) -> Any:
    return Templar(DataLoader(), variables=variables).template(trust_as_template(text))


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_from_utc")
@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("Note when the machine is asked", "__doctor_asked_at"),
        ("Note when it answered", "__doctor_answered_at"),
    ],
)
def test_this_host_s_clock_is_read_right_in_any_time_zone(name: str, fact: str) -> None:
    expression = task("machine.yml", name)["ansible.builtin.set_fact"][fact]
    assert float(evaluated(expression)) == pytest.approx(time.time(), abs=60)
