# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Variables and messages of the tasks of the roles upgrade and schedule."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from ansible.template import trust_as_template
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _options

from tests.unit.roles.evaluated import load, render


def task(file: str, name: str) -> dict[str, Any]:
    """Return a task by its name, including tasks in blocks."""
    waiting = list(load(f"tasks/{file}", "upgrade"))
    while waiting:
        each = waiting.pop(0)
        if each["name"] == name:
            return dict(each)
        waiting += [inner for part in ("block", "rescue", "always") for inner in each.get(part, [])]
    raise AssertionError(f"{file} has no task '{name}'")


# Backups


def test_only_backups_that_succeeded_are_counted_as_kept() -> None:
    removal = task("tidy.yml", "Remove backups of earlier upgrades")
    states = ["SUCCESSFUL", "FAILED", "DELETED", "SUCCESSFUL", "SUCCESSFUL"]
    runs = [{"description": f"mlflow upgrade {number}", "status": state} for number, state in enumerate(states)]
    others = [{"status": "SUCCESSFUL"}, {"description": "by hand", "status": "SUCCESSFUL"}]
    facts = {
        "__upgrade_backup_prefix": "mlflow upgrade ",
        "__upgrade_listed": {"backups": [*others, *runs]},
        "upgrade_keep_backups": 2,
    }
    assert render(removal["loop"], removal["vars"], facts) == ["mlflow upgrade 4"]


# The requirements of an upgrade


@pytest.mark.parametrize(
    ("built", "needed"),
    [({"stat": {"exists": True}}, 1024), ({"stat": {"exists": False}}, 3024), ({"skipped": True}, 3024)],
)
def test_a_release_that_is_there_needs_no_room(built: dict[str, Any], needed: int) -> None:
    variables = task("preflight.yml", "Check the free disk space of the VM")["vars"]
    facts = {
        "__upgrade_built": built,
        "__upgrade_disk": {"result": {"release_mib": 2000}},
        "upgrade_free_disk_mb": 1024,
    }
    assert render(variables["__upgrade_needed"], variables, facts) == needed


# The cause


@pytest.mark.parametrize(
    ("failed", "cause"),
    [
        ({"msg": "it hangs", "result": {}, "stderr_lines": ["INFO a", "it hangs"]}, "it hangs"),
        ({"msg": "failed", "stderr_lines": ["much", "more"]}, "failed: much more"),
        ({"msg": "failed", "stderr_lines": []}, "failed"),
        ({"msg": "failed", "stderr_lines": ["ERROR: hash", "more", "words", "of", "pip"]}, "failed: ERROR: hash"),
    ],
    ids=["mlflowctl", "another program", "no words", "pip"],
)
def test_the_cause_is_the_output_of_the_program(failed: dict[str, Any], cause: str) -> None:
    keep = task("upgrade.yml", "Record the cause of the failure")
    facts = {"ansible_failed_result": failed}
    assert render(keep["ansible.builtin.set_fact"]["__upgrade_failed_cause"], keep["vars"], facts) == cause


# Rolled-back releases


@pytest.mark.parametrize(
    "release",
    [
        {"upgrade": True, "version": "3.18.0", "passed_over": {}},
        {"upgrade": False, "version": "3.17.2", "passed_over": {"3.18.0": "excluded"}},
    ],
    ids=["pinned", "a channel"],
)
@pytest.mark.parametrize(
    ("machine", "host", "again", "stays"),
    [
        (None, {}, False, False),
        ({"version": "3.18.0"}, {}, False, True),
        (None, {"rolled_back_from": "3.18.0"}, False, True),
        (None, {"passed_over": ["3.18.0"]}, False, True),
        ({"version": "3.18.0"}, {"rolled_back_from": "3.18.0"}, True, False),
        ({"version": "3.17.3"}, {"rolled_back_from": "3.17.4"}, False, False),
    ],
)
def test_a_rolled_back_release_is_excluded_by_either_record(
    machine: dict[str, str] | None, host: dict[str, Any], again: bool, stays: bool, release: dict[str, Any]
) -> None:
    facts = {
        "__upgrade_release": release,
        "__upgrade_status": {"rolled_back": machine},
        "__upgrade_kept": host,
        "upgrade_again": again,
    }
    assert render(trust_as_template("{{ __upgrade_stays }}"), load("vars/main.yml", "upgrade"), facts) is stays


def test_of_several_the_newest_is_named() -> None:
    passed = {"3.18.2": "yanked", "3.18.1": "excluded", "3.18.0": "excluded"}
    facts = {
        "__upgrade_release": {"upgrade": False, "version": "3.17.2", "passed_over": passed},
        "__upgrade_status": {"rolled_back": {"version": "3.18.0"}},
        "__upgrade_kept": {"passed_over": ["3.18.1"]},
        "upgrade_again": False,
    }
    assert render(trust_as_template("{{ __upgrade_refused }}"), load("vars/main.yml", "upgrade"), facts) == "3.18.1"


def test_another_release_is_selected_after_a_rollback() -> None:
    facts = {
        "__upgrade_release": {"upgrade": True, "version": "3.17.3", "passed_over": {"3.18.0": "excluded"}},
        "__upgrade_status": {"rolled_back": {"version": "3.18.0"}},
        "__upgrade_kept": {"passed_over": ["3.19.0"]},
        "upgrade_again": False,
    }
    variables = load("vars/main.yml", "upgrade")
    assert render(trust_as_template("{{ __upgrade_stays }}"), variables, facts) is False
    asked = task("main.yml", "Select the release")["mlops.mlflow_gcp.mlflow_release"]
    assert render(asked["exclude"], variables, facts) == ["3.18.0", "3.19.0"]
    assert render(asked["exclude"], variables, facts, {"upgrade_again": True}) == []


@pytest.mark.parametrize(
    ("now", "machine", "host", "written"),
    [
        ({"version": "3.17.3"}, {"version": "3.18.0"}, {}, {"passed_over": ["3.18.0"]}),
        (
            {"version": "3.17.4"},
            None,
            {"rolled_back_from": "3.18.1", "passed_over": ["3.17.10", "3.18.0"]},
            {"passed_over": ["3.18.1", "3.17.10", "3.18.0"]},
        ),
        ({"version": "3.18.0"}, {"version": "3.18.0"}, {"rolled_back_from": "3.18.0"}, {}),
        (
            {"version": "3.17.2", "rolled_back_from": "3.18.1"},
            None,
            {"passed_over": ["3.18.0"]},
            {"rolled_back_from": "3.18.1", "passed_over": ["3.18.0"]},
        ),
    ],
    ids=["the machine knew", "this host knew", "gone to again", "gone back once more"],
)
def test_a_rolled_back_release_stays_excluded_after_another_upgrade(
    now: dict[str, str], machine: dict[str, str] | None, host: dict[str, Any], written: dict[str, Any]
) -> None:
    """The VM does not record the release any more, and 3.18.0 would be selected next."""
    record = task("keep.yml", "Record the deployed release")["vars"]["__upgrade_record"]
    facts = {
        "__upgrade_now": now,
        "__upgrade_status": {"rolled_back": machine},
        "__upgrade_kept": host,
        "__upgrade_lock_file": {"content": base64.b64encode(b"locked").decode()},
    }
    document = render(record, load("vars/main.yml", "upgrade"), facts)
    del document["since"]
    assert document == {
        "version": now["version"],
        "requirements": "locked",
        "rolled_back_from": "",
        "passed_over": [],
        **written,
    }


@pytest.mark.parametrize(
    ("machine", "host", "way"),
    [
        ({"version": "3.18.0", "since": "today"}, {}, "was gone back to from 3.18.0 on today"),
        (None, {"rolled_back_from": "3.18.0", "since": "today"}, "was gone back to from 3.18.0 on today"),
        (None, {"passed_over": ["3.18.0"], "since": "today"}, "3.18.0 was gone back from before it came"),
    ],
)
def test_it_says_since_when_it_stays(machine: dict[str, str] | None, host: dict[str, Any], way: str) -> None:
    facts = {
        "__upgrade_from": "3.17.2",
        "__upgrade_release": {"upgrade": False, "version": "3.17.2", "passed_over": {"3.18.0": "excluded"}},
        "__upgrade_status": {"rolled_back": machine},
        "__upgrade_kept": host,
        "upgrade_again": False,
    }
    tell = task("main.yml", "Report that the release was rolled back")
    message = render(tell["ansible.builtin.debug"]["msg"], load("vars/main.yml", "upgrade"), tell["vars"], facts)
    assert message == (
        f"MLflow 3.17.2 is served, and {way}. It stays until there is another release;"
        " to go to 3.18.0 again: -e upgrade_again=true"
    )


# The schedule


GIVEN: dict[str, Any] = {"schedule_environment": {}, "schedule_inherit_environment": True}


def test_the_timer_finds_the_package_index_as_its_installer_did(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "UV_DEFAULT_INDEX": "https://user:secret@index.example.com/simple",
        "UV_INDEX_URL": "https://index.example.com/simple",
        "UV_CONFIG_FILE": "/etc/uv/uv.toml",
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://proxy.example.com"),
        **dict.fromkeys(("no_proxy", "NO_PROXY"), "example.com"),
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    variables = load("vars/main.yml", "schedule")
    found = render(
        variables["__schedule_environment"],
        variables,
        GIVEN | {"schedule_environment": {"NO_PROXY": "other.example.com"}},
    )
    assert given.items() - {("NO_PROXY", "example.com")} <= found.items()
    assert found["NO_PROXY"] == "other.example.com"
    keep = next(
        each
        for each in load("tasks/present.yml", "schedule")
        if "environment" in str(each.get("ansible.builtin.template"))
    )
    assert keep["ansible.builtin.template"]["mode"] == "0600"
    assert keep["no_log"] is True


def test_the_timer_asks_as_its_installer_did(monkeypatch: pytest.MonkeyPatch) -> None:
    """All variables with credentials of the modules are inherited, except a token, which expires after an hour."""
    options = _options.common()
    taken = {name for option in options.values() for name in option.get("fallback", (None, []))[1]}
    for name in taken:
        monkeypatch.setenv(name, "/given")
    variables = load("vars/main.yml", "schedule")
    found = render(variables["__schedule_environment"], variables, GIVEN)
    assert taken - found.keys() == {"CLOUDSDK_AUTH_ACCESS_TOKEN"}
    check = next(
        each
        for each in load("tasks/validate.yml", "schedule")
        if each["name"] == "Assert that the credentials are not an access token"
    )
    condition = trust_as_template("{{ " + check["ansible.builtin.assert"]["that"] + " }}")
    for kind, more, lasts in [
        ("application", {}, True),
        ("service_account_file", {}, True),
        ("access_token", {}, False),
        ("access_token", {"CLOUDSDK_AUTH_ACCESS_TOKEN": "mine"}, True),
    ]:
        monkeypatch.setenv("GCP_AUTH_KIND", kind)
        assert render(condition, variables, GIVEN | {"schedule_environment": more}) is lasts


def test_a_schedule_is_removed_without_asking_the_cloud() -> None:
    _describes, asks = load("../playbooks/schedule_upgrade.yml", "")[0]["tasks"]
    assert asks["ansible.builtin.import_role"]["tasks_from"] == "preflight"
    states = [({}, True), ({"schedule_state": "present"}, True), ({"schedule_state": "absent"}, False)]
    assert [render(trust_as_template("{{ " + asks["when"] + " }}"), given) for given, _ in states] == [
        w for _, w in states
    ]
