# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The effect of the role schedule on an existing timer: the real role with a fake systemd that records its calls."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.roles.noting import PLAYBOOK, ROOT, collection, note, play

UNIT = "mlflow-upgrade-molecule"
AGO = 3 * 86400


@dataclass
class Role:
    """The role in a temporary collection. Units and the stamp file are in a temporary directory."""

    folder: Path
    active: bool = True
    reload: bool = False
    user: bool = False
    credentials: str = "metadata server of the VM"
    refused: str = ""
    """Parts of the message if the run must be refused."""

    def __post_init__(self) -> None:
        noted = ("command", "systemd_service")
        collection(self.folder, "schedule", noted=noted)
        note(self.folder, (*noted, "google_credentials_info"))
        (self.folder / "playbook.yml").touch()

    @property
    def timer(self) -> Path:
        return self.folder / "units" / f"{UNIT}.timer"

    @property
    def stamp(self) -> Path:
        return self.folder / f"stamp-{UNIT}.timer"

    def fired_last(self, ago: float) -> None:
        """Set the stamp file as systemd does when the timer fires."""
        self.stamp.touch()
        os.utime(self.stamp, (time.time() - ago,) * 2)

    def counts_from(self) -> float:
        """Return the seconds since the time that systemd would count from."""
        return time.time() - self.stamp.stat().st_mtime

    def __call__(self, calendar: str, killed: str = "", *, check: bool = False, **given: Any) -> list[str | None]:
        """Run the role, or kill it at a call of systemd; return the calls."""
        show = [
            f"ActiveState={'active' if self.active else 'inactive'}",
            f"NeedDaemonReload={'yes' if self.reload else 'no'}",
        ]
        answers = [
            ({"argv": "show"}, {"stdout_lines": show}),
            ({"argv": "systemd-analyze"}, {"rc": 0, "stderr": "", "msg": ""}),
            *([({"state": killed}, {"failed": True, "msg": "killed"})] if killed else []),
            ({"module": "google_credentials_info"}, {"user": self.user, "description": self.credentials}),
        ]
        settings = {
            "schedule_name": "molecule",
            "schedule_calendar": calendar,
            "schedule_directory": str(self.folder),
            "schedule_playbook": "playbook.yml",
            "schedule_ansible_playbook": PLAYBOOK,
            "deployment_project": "my-project",
            "__schedule_units": str(self.timer.parent),
            "__schedule_configuration": str(self.folder / "configuration"),
            "__schedule_stamp": str(self.stamp),
            **given,
        }
        role = {"name": "mlops.mlflow_gcp.schedule"}
        done = play(self.folder, "localhost", role, answers, settings, check=check)
        assert (done.returncode != 0) == bool(killed or self.refused)
        assert self.refused in " ".join(done.stdout.split())
        calls = [json.loads(line) for line in (self.folder / "asked.jsonl").read_text().splitlines()]
        assert all(call["daemon_reload"] for call in calls if call.get("state") == "started")
        return [call["state"] for call in calls if call["module"] == "systemd_service"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Role:
    role = Role(tmp_path_factory.mktemp("schedule"), active=False)
    assert "stopped" not in role("Sun 03:00")
    assert not role.stamp.exists()
    return role


@pytest.fixture
def role(installed: Role) -> Iterator[Role]:
    """Return a running timer that fired three days ago."""
    before = installed.timer.read_text()
    installed.active, installed.reload = True, False
    installed.fired_last(AGO)
    yield installed
    installed.timer.write_text(before)


def test_an_unchanged_timer_is_not_restarted(role: Role) -> None:
    """The timer makes up for times during which the host was suspended."""
    assert role("Sun 03:00") == ["started"]
    assert role.counts_from() > AGO - 1


def test_another_calendar_counts_from_when_it_came(role: Role) -> None:
    """This holds if the run is killed at any step."""
    assert role("Mon 03:00", check=True) == ["stopped", "started"]
    assert role("Mon 03:00", killed="stopped") == ["stopped"]
    assert "Sun 03:00" in role.timer.read_text(), "it is stopped before there is a file that systemd could read"
    assert role.counts_from() > AGO - 1

    assert role("Mon 03:00", killed="started") == ["stopped", "started"]
    assert "Mon 03:00" in role.timer.read_text()
    assert AGO / 2 > role.counts_from() >= time.time() - role.timer.stat().st_mtime, "before there is the file"


@pytest.mark.parametrize(("active", "reload"), [(False, False), (True, True)], ids=["stopped", "not read"])
def test_a_timer_of_a_killed_run_counts_from_the_next_run(role: Role, active: bool, reload: bool) -> None:
    """The file is correct, but systemd has not read it."""
    role.active, role.reload = active, reload
    assert role("Sun 03:00") == [*(["stopped"] if active else []), "started"]
    assert role.counts_from() < AGO / 2


def test_credentials_of_a_user_are_refused_before_anything_is_installed(
    role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(role, "user", True)
    monkeypatch.setattr(role, "credentials", "authorized_user of /home/ann/adc.json")
    monkeypatch.setattr(role, "refused", "credentials of a user on localhost: authorized_user of /home/ann/adc.json.")
    assert role("Mon 03:00") == []
    assert "Sun 03:00" in role.timer.read_text()


def test_credentials_of_a_user_and_the_environment_of_another_host(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables allow the credentials and exclude the environment."""
    monkeypatch.setattr(role, "user", True)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "my-project")
    given = {"schedule_allow_user_credentials": True, "schedule_inherit_environment": False}
    assert role("Sun 03:00", **given) == ["started"]
    assert "GOOGLE_CLOUD_PROJECT" not in (role.folder / "configuration" / "environment").read_text()


@pytest.mark.parametrize(
    ("environment", "refused"),
    [({}, "GCP_AUTH_KIND is access_token"), ({"CLOUDSDK_AUTH_ACCESS_TOKEN": "mine"}, "")],
)
def test_an_access_token_is_refused_unless_the_user_names_one(
    role: Role, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], refused: str
) -> None:
    """A token expires after an hour."""
    monkeypatch.setenv("GCP_AUTH_KIND", "access_token")
    monkeypatch.setattr(role, "refused", refused)
    assert role("Sun 03:00", schedule_environment=environment) == ([] if refused else ["started"])
    if not refused:
        file = role.folder / "configuration" / "environment"
        assert file.stat().st_mode & 0o777 == 0o600
        text = file.read_text()
        assert 'GCP_AUTH_KIND="access_token"' in text
        assert 'CLOUDSDK_AUTH_ACCESS_TOKEN="mine"' in text


def test_a_schedule_is_removed_without_a_request_to_google() -> None:
    """The project may not exist any more."""
    playbook = yaml.safe_load((ROOT / "playbooks" / "schedule_upgrade.yml").read_text(encoding="utf-8"))
    _describes, asks = playbook[0]["tasks"]
    assert asks["ansible.builtin.import_role"]["tasks_from"] == "preflight"
    assert asks["when"] == "schedule_state | default('present') == 'present'"
