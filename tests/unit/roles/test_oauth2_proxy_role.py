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

from tests.unit.roles.evaluated import ROLES, described
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
        ({"failed": True, "msg": "the API is not enabled"}, "has no value. Create an OAuth client"),
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
