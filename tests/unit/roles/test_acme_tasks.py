# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The tasks of the role acme, with fake modules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.roles.evaluated import ROLES, described, load, render
from tests.unit.roles.noting import collection, note, play
from tests.unit.roles.test_acme_renew import CONFIG

SETTINGS = {
    "deployment_project": "my-project",
    "deployment_hostname": "mlflow.example.com",
    "certificates_source": "acme",
    "certificates_acme_terms_agreed": True,
    "certificates_acme_directory": "https://acme.example.com/directory",
}
CANNOT = "Cannot get a certificate for mlflow.example.com: caa: forbidden. The next attempt starts"


def asked(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "asked.jsonl").read_text().splitlines()]


def test_the_configuration_has_what_the_program_reads(tmp_path: Path) -> None:
    collection(tmp_path, "acme", noted=["copy"])
    note(tmp_path, ["copy"])
    template = ROLES / "acme" / "templates" / "mlflow-acme.json.j2"
    task = {"ansible.builtin.template": {"src": str(template), "dest": str(tmp_path / "made.json"), "mode": "0600"}}
    tasks = tmp_path / "ansible_collections" / "mlops" / "mlflow_gcp" / "roles" / "acme" / "tasks" / "only.yml"
    tasks.write_text(json.dumps([task]))
    role = {"name": "mlops.mlflow_gcp.acme", "tasks_from": "only"}
    assert play(tmp_path, "localhost", role, [], SETTINGS, check=False).returncode == 0
    assert json.loads((tmp_path / "made.json").read_text()) == CONFIG


@pytest.mark.parametrize(
    ("before", "after", "started", "warned"),
    [("", "", False, False), ("there is no certificate", "", True, False), ("due", "due", True, True)],
)
def test_a_failed_order_is_reported_and_does_not_end_the_run(
    tmp_path: Path, before: str, after: str, started: bool, warned: bool
) -> None:
    collection(tmp_path, "acme", noted=["command", "systemd_service"])
    note(tmp_path, ["command", "systemd_service"])
    # The fake module returns the same answer for each call. The second check is another task.
    tasks = tmp_path / "ansible_collections" / "mlops" / "mlflow_gcp" / "roles" / "acme" / "tasks" / "order.yml"
    text = tasks.read_text()
    second = "    - name: Check whether the certificate is still due\n      mlops.mlflow_gcp.command: *check\n"
    assert second in text
    tasks.write_text(text.replace(second, second.replace("*check", "{argv: [second]}")))
    failed = {"failed": True, "msg": "Unable to start service"} if warned else {"status": {}, "changed": True}
    answers: list[Any] = [
        ({"module": "command", "argv": "second"}, {"stdout": json.dumps({"due": after})}),
        ({"module": "command", "argv": "--check"}, {"stdout": json.dumps({"due": before})}),
        ({"module": "command", "argv": "journalctl"}, {"stdout": CANNOT, "stdout_lines": ["x", CANNOT]}),
        ({"module": "systemd_service"}, failed),
    ]
    role = {"name": "mlops.mlflow_gcp.acme", "tasks_from": "order"}
    done = play(tmp_path, "localhost", role, answers, SETTINGS, check=False)
    assert done.returncode == 0
    # The output wraps long lines.
    assert (f"WARNING: {CANNOT}" in " ".join(done.stdout.split())) == warned
    calls = asked(tmp_path)
    assert [call["name"] for call in calls if call["module"] == "systemd_service"] == ["mlflow-acme.service"] * started
    # The messages of systemd about the unit do not name the cause.
    read = [call["argv"] for call in calls if "journalctl" in call.get("argv", [])]
    assert [argv[1] for argv in read] == ["_SYSTEMD_UNIT=mlflow-acme.service"] * warned


@pytest.mark.parametrize(
    ("check", "packages", "present", "missing"),
    [
        (True, ["python3-acme installed", "python3-dnspython installed"], [True, True], False),
        (True, ["python3-acme installed", "python3-dnspython installed"], [True, False], True),
        (True, ["python3-acme installed", "python3-dnspython config-files"], [True, True], True),
        (True, ["python3-acme installed"], [True, True], True),
        (False, [], [False, False], False),
    ],
)
def test_check_mode_starts_nothing_that_is_not_installed(
    check: bool, packages: list[str], present: list[bool], missing: bool
) -> None:
    """A killed run may have installed the package only."""
    known = {
        "ansible_check_mode": check,
        "__acme_packages": {"stdout_lines": packages},
        "__acme_files": {"results": [{"stat": {"exists": each}} for each in present]},
    }
    variables = load("vars/main.yml", "acme")
    assert render(variables["__acme_missing"], known, variables) is missing


MISSING = {"failed": True, "msg": "Could not find the requested service mlflow-acme.timer: host"}


@pytest.mark.parametrize(
    ("stored", "check", "stopped", "code"),
    [
        ("-----BEGIN PRIVATE KEY-----", False, MISSING, 0),
        ("Directory: https://acme.example.com/directory\nProfile: \n", False, {}, 2),
        ("Directory: https://acme.example.com/directory\nProfile: \n", True, {}, 0),
        ("-----BEGIN PRIVATE KEY-----", False, {"failed": True, "msg": "Access denied"}, 2),
    ],
)
def test_the_removal_requires_the_certificate_of_the_new_source(
    tmp_path: Path, stored: str, check: bool, stopped: dict[str, Any], code: int
) -> None:
    """The VM may have renewed after site.yml stored the new certificate. A killed removal may have left a part."""
    collection(tmp_path, "acme", noted=["command", "file", "stat", "systemd_service"])
    note(tmp_path, ["command", "file", "gcp_secret", "stat", "systemd_service"])
    answers: list[Any] = [
        ({"module": "stat"}, {"stat": {"exists": True}}),
        ({"module": "systemd_service", "state": "stopped"}, stopped),
        ({"module": "gcp_secret"}, {"payload": stored}),
    ]
    role = {"name": "mlops.mlflow_gcp.acme", "tasks_from": "remove"}
    done = play(tmp_path, "localhost", role, answers, SETTINGS | {"certificates_source": "ca"}, check=check)
    assert done.returncode == code
    assert ("Run site.yml again" in done.stdout) == (code == 2 and not stopped)
    removed = [call["path"] for call in asked(tmp_path) if call["module"] == "file"]
    assert ("/var/lib/mlflow-acme" in removed) == (code == 0)


def test_all_programs_are_installed() -> None:
    (task,) = (each for each in load("tasks/install.yml", "acme") if each["name"] == "Install the programs")
    assert task["loop"] == sorted(path.name for path in (ROLES / "acme" / "files").glob("*.py"))


def test_the_sandbox_and_the_timer() -> None:
    """Only the second step, which has no connection to other hosts, runs as root."""
    unit = (ROLES / "acme" / "templates" / "mlflow-acme.service.j2").read_text()
    steps = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    assert [step.startswith("ExecStart=+") for step in steps] == [False, True]
    assert steps[1].endswith("/install.py")
    variables = load("vars/main.yml", "acme")
    # Let's Encrypt accepts 5 failed validations in an hour. A certificate of 6 days is due for 2 days.
    assert 1 < variables["__acme_interval_hours"] < 12


def test_the_credential_is_the_one_of_the_fact() -> None:
    fact = described(**SETTINGS)
    unit = (ROLES / "acme" / "templates" / "mlflow-acme.service.j2").read_text()
    names = [item["name"] for item in fact["credential_items"] if item["secret"] == "mlflow-acme-account"]
    assert [f"LoadCredential=account:/run/credstore/{name}" in unit for name in names] == [True]
