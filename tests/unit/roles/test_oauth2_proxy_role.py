# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The role authentication_oauth2_proxy: its systemd units, its check of the client secret, and a rotation."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _oauth2_proxy_configuration as configuration
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._authentication import CLIENT_SECRET, COOKIE_SECRET

from tests.unit.roles.evaluated import ROLES, described, load, render
from tests.unit.roles.noting import collection, note, play
from tests.unit.roles.validation import refusals

ROLE = ROLES / "authentication_oauth2_proxy"
EXPOSURE = re.compile(r"Overall exposure level for \S+: ([0-9.]+)")
VALID = {
    "mlflow_authentication": "oauth2_proxy",
    "deployment_project": "my-project",
    "deployment_hostname": "mlflow.example.com",
    "authentication_oauth2_proxy_client_id": "1-a.apps.googleusercontent.com",
    "authentication_oauth2_proxy_rules": {"domains": ["example.com"]},
}


def unit(name: str) -> str:
    return (ROLE / "templates" / f"{name}.j2").read_text(encoding="utf-8").replace("# {{ ansible_managed }}\n", "")


def test_the_sandbox_of_the_service(tmp_path: Path) -> None:
    path = tmp_path / "oauth2-proxy.service"
    path.write_text(unit("oauth2-proxy.service"), encoding="utf-8")
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(path)]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = EXPOSURE.search(report)
    assert found, report
    assert float(found[1]) <= 2.0, report


def test_the_service_loads_the_credentials_of_the_row_and_has_no_reload() -> None:
    text = unit("oauth2-proxy.service")
    loaded = re.findall(r"^LoadCredential=(.*)$", text, re.MULTILINE)
    assert loaded == [CLIENT_SECRET.credential, COOKIE_SECRET.credential]
    assert "ExecReload" not in text
    assert f"--cookie-secret-file=%d/{COOKIE_SECRET.credential}" in text
    assert "${CREDENTIALS_DIRECTORY}/" + CLIENT_SECRET.credential == configuration.CLIENT_SECRET_FILE


def test_systemd_passes_the_socket() -> None:
    socket = unit("oauth2-proxy.socket")
    assert "ListenStream=/run/oauth2-proxy/oauth2-proxy.sock\n" in socket
    assert "SocketMode=0660\n" in socket
    assert "Requires=oauth2-proxy.socket\n" in unit("oauth2-proxy.service")
    # A restart of the service does not close the socket.
    assert "PartOf" not in socket + unit("oauth2-proxy.service")


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"payload": "the-stored-secret"}, None),
        ({"payload": None}, "the secret mlflow-oauth2-proxy-client-secret has no value. Create an OAuth client"),
        ({"failed": True, "msg": "HTTP 403: denied"}, "cannot be read (HTTP 403: denied). Create an OAuth client"),
        ({"payload": "the-stored-secret\n"}, "mlflow-oauth2-proxy-client-secret begins or ends with white space"),
    ],
)
def test_a_run_without_the_client_secret_needs_a_stored_one(stored: dict[str, Any], message: str | None) -> None:
    known = {
        "mlflow_deployment": described(**VALID),
        "authentication_oauth2_proxy_hostname": "mlflow.example.com",
        "__authentication_oauth2_proxy_stored": stored,
    }
    found = refusals("authentication_oauth2_proxy", known=known)
    assert (found == []) if message is None else (message in found[0])
    assert "the-stored-secret" not in " ".join(found)


def rotated(folder: Path, *, fails: bool = False, **settings: Any) -> tuple[list[dict[str, Any]], str]:
    """Run the role rotate with fake modules. Return their calls and the output."""
    collection(folder, "rotate", noted=("command", "systemd_service", "uri"))
    own = ("mlflow_credentials", "mlflowctl", "command", "systemd_service", "uri")
    note(folder, ("gcp_secret", "gcp_sql_user", "mlflow_lock", *own))
    uri = "postgresql+psycopg2://mlflow:secret@10.0.0.3/mlflow"
    answers = [
        ({"module": "gcp_secret"}, {"payload": uri, "version": "7"}),
        ({"command": "status"}, {"rc": 0, "result": {"traffic": "blue", "wanted": {"unseen": []}}}),
        ({"argv": "find"}, {"stdout": ""}),
    ]
    given = VALID | {"deployment_state_directory": str(folder / "state"), **settings}
    done = play(folder, "mlflow-server", {"name": "mlops.mlflow_gcp.rotate"}, answers, given, check=False)
    output = " ".join((done.stdout + done.stderr).split())
    assert (done.returncode != 0) is fails, output
    return [json.loads(line) for line in (folder / "asked.jsonl").read_text().splitlines()], output


def test_a_rotation_restarts_the_service_with_the_new_values(tmp_path: Path) -> None:
    calls, output = rotated(
        tmp_path,
        rotate_what=["oauth2_proxy_client_secret", "oauth2_proxy_cookie_secret"],
        authentication_oauth2_proxy_client_secret="the-new-secret",
    )
    stored = {call["name"]: call["payload"] for call in calls if call.get("payload")}
    assert stored.pop("mlflow-oauth2-proxy-client-secret") == "the-new-secret"
    (key,) = stored.values()
    assert len(key) == 32
    assert key not in output
    assert "the-new-secret" not in output
    (fetched,) = (call["items"] for call in calls if call["module"] == "mlflow_credentials" and call.get("items"))
    assert {item["name"]: item["version"] for item in fetched} == {
        CLIENT_SECRET.credential: "7",
        COOKIE_SECRET.credential: "7",
    }
    # MLflow does not use these secrets, so it has no cutover.
    assert not any(call.get("state") == "reloaded" for call in calls)
    changed = [call for call in calls if call.get("state") == "restarted"]
    assert [call["name"] for call in changed] == ["oauth2-proxy.service"]
    assert calls.index(changed[0]) < next(n for n, call in enumerate(calls) if call["module"] == "uri")


def test_a_client_secret_is_rotated_only_with_a_new_value(tmp_path: Path) -> None:
    calls, output = rotated(tmp_path, fails=True, rotate_what=["oauth2_proxy_client_secret"])
    assert (
        "set authentication_oauth2_proxy_client_secret. Or remove oauth2_proxy_client_secret from rotate_what" in output
    )
    assert not any(call.get("payload") for call in calls)
    fact = described(**VALID)
    given = {each["name"]: each["variable"] for each in fact["rotations"] if each["variable"]}
    assert given == {"oauth2_proxy_client_secret": "authentication_oauth2_proxy_client_secret"}


NOTED = ("command", "copy", "file", "find", "stat", "systemd_service", "template", "uri", "user")


def installed(
    folder: Path, *, version: str = "v7.15.6", exists: bool = True, check: bool = False, fails: bool = False
) -> list[dict[str, Any]]:
    """Run the installation with fake modules. Return their calls."""
    collection(folder, "rotate", noted=NOTED)
    note(folder, (*NOTED, "oauth2_proxy_binary", "oidc_provider_info", "mlflow_lock"))
    provider = {"authorization_endpoint": "https://a.example", "token_endpoint": "https://t.example"}
    provider |= {"jwks_uri": "https://k.example", "algorithms": ["RS256"]}
    answers = [
        ({"module": "oauth2_proxy_binary"}, {"path": "" if check else str(folder / "oauth2-proxy"), "sha256": ""}),
        ({"module": "oidc_provider_info"}, provider),
        ({"module": "stat"}, {"stat": {"exists": exists}}),
        ({"module": "command", "argv": "--version"}, {"stdout": f"oauth2-proxy {version} (built with go1.26.8)"}),
        ({"module": "command", "argv": "find"}, {"stdout": "/etc/oauth2-proxy/oauth2-proxy.cfg"}),
        ({"module": "find"}, {"files": [{"path": "/opt/oauth2-proxy/7.15.5"}]}),
    ]
    given = VALID | {"deployment_state_directory": str(folder / "state")}
    role = {"name": "mlops.mlflow_gcp.authentication_oauth2_proxy", "tasks_from": "install"}
    done = play(folder, "mlflow-server", role, answers, given, check=check)
    assert (done.returncode != 0) is fails, done.stdout
    return [json.loads(line) for line in (folder / "asked.jsonl").read_text().splitlines()]


def position(calls: list[dict[str, Any]], **wanted: str) -> int:
    """Return the position of the only call whose arguments contain these texts."""
    (found,) = [
        number
        for number, call in enumerate(calls)
        if all(value in json.dumps(call.get(name)) for name, value in wanted.items())
    ]
    return found


def test_a_program_is_checked_before_it_is_selected(tmp_path: Path) -> None:
    calls = installed(tmp_path)
    steps = [
        position(calls, module="copy", dest="/opt/oauth2-proxy/7.15.6/oauth2-proxy"),
        position(calls, module="copy", dest="/etc/oauth2-proxy/oauth2-proxy.yaml"),
        position(calls, module="command", argv="--config-test"),
        position(calls, module="file", path="/opt/oauth2-proxy/current"),
        position(calls, module="systemd_service", name="oauth2-proxy.socket"),
        position(calls, module="systemd_service", state="restarted"),
        position(calls, module="uri"),
        position(calls, module="file", path="/opt/oauth2-proxy/7.15.5"),
    ]
    assert steps == sorted(steps)
    written = {call["dest"]: call for call in calls if call["module"] == "copy" and "content" in call}
    options = written["/etc/oauth2-proxy/oauth2-proxy.cfg"]
    assert 'redirect_url = "https://mlflow.example.com/oauth2/callback"' in options["content"]
    assert json.loads(written["/etc/oauth2-proxy/oauth2-proxy.yaml"]["content"])["server"] == {"bindAddress": "fd:3"}
    assert {call["mode"] for call in written.values()} == {"0640"}


def test_a_program_of_another_version_is_not_used(tmp_path: Path) -> None:
    calls = installed(tmp_path, version="v7.15.5", fails=True)
    assert not [call for call in calls if call.get("path") == "/opt/oauth2-proxy/current"]
    assert not [call for call in calls if call["module"] == "systemd_service"]


def test_check_mode_on_a_new_vm_runs_no_program(tmp_path: Path) -> None:
    calls = installed(tmp_path, exists=False, check=True)
    assert not [call for call in calls if call["module"] in ("copy", "command", "systemd_service", "uri")]
    position(calls, module="template", dest="oauth2-proxy.service")


def removed(folder: Path, *, exists: bool) -> list[dict[str, Any]]:
    """Run the removal with fake modules, in a deployment with another mode. Return their calls."""
    collection(folder, "rotate", noted=NOTED)
    note(folder, (*NOTED, "mlflow_lock"))
    role = {"name": "mlops.mlflow_gcp.authentication_oauth2_proxy", "tasks_from": "remove"}
    given = {"deployment_project": "my-project", "deployment_state_directory": str(folder / "state")}
    answers = [({"module": "stat"}, {"stat": {"exists": exists}})]
    assert play(folder, "mlflow-server", role, answers, given, check=False).returncode == 0
    return [json.loads(line) for line in (folder / "asked.jsonl").read_text().splitlines()]


def test_another_mode_removes_the_installation(tmp_path: Path) -> None:
    calls = [call for call in removed(tmp_path, exists=True) if call["module"] in ("file", "systemd_service")]
    stopped = [call["name"] for call in calls if call.get("state") == "stopped"]
    assert stopped == ["oauth2-proxy.socket", "oauth2-proxy.service"]
    files = [call["path"] for call in calls if call["module"] == "file"]
    # A killed run finds this file, and removes the rest.
    assert files[-1] == "/etc/systemd/system/oauth2-proxy.socket"
    assert {"/etc/oauth2-proxy", "/opt/oauth2-proxy", f"/run/credstore/{CLIENT_SECRET.credential}"} <= set(files)
    assert calls.index(next(call for call in calls if call["module"] == "file")) == 2
    assert calls[-1].get("daemon_reload") is True


def test_nothing_is_removed_from_a_vm_without_an_installation(tmp_path: Path) -> None:
    assert [call["module"] for call in removed(tmp_path, exists=False) if call["module"] in NOTED] == ["stat"]


def test_the_doctor_gets_the_facts_with_the_fact_of_the_deployment() -> None:
    tasks = load("tasks/examine.yml", "authentication_oauth2_proxy")
    (publish,) = [task for task in tasks if "ansible.builtin.set_fact" in task]
    fact = described(**VALID)
    known = load("defaults/main.yml", "authentication_oauth2_proxy") | {"mlflow_deployment": fact}
    known |= {"__authentication_oauth2_proxy_examined": {"facts": {"version": "7.15.6"}}, **publish["vars"]}
    found = render(publish["ansible.builtin.set_fact"]["mlflow_deployment"], known)
    assert found["authentication"].pop("examined") == {
        "version": "7.15.6",
        "hostname": "mlflow.example.com",
        "response": {"facts": {"version": "7.15.6"}},
    }
    assert found == fact
    doctor = load("tasks/main.yml", "doctor")
    (check,) = [task["mlops.mlflow_gcp.mlflow_doctor"] for task in doctor if "mlops.mlflow_gcp.mlflow_doctor" in task]
    assert "__doctor_host.mlflow_deployment" in check["authentication"]["examined"]
