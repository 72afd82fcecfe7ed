# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The commands for OAuth clients and test accounts, and the end of `make up AUTH=oauth2_proxy`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from localcloud.__main__ import main
from localcloud.access.users import DEFAULTS
from tests.localcloud.compute_client import Compute
from tests.localcloud.harness import Local
from tests.localcloud.sign_in import CALLBACK, ORIGIN, Client

REPOSITORY = Path(__file__).parents[2]
DEMO = REPOSITORY / "inventory" / "demo" / "group_vars" / "all.yml"


def options(local: Local) -> list[str]:
    return ["--home", str(local.home), "--port", str(local.port)]


def test_a_client(local: Local, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["client", "mlflow", *options(local), "--redirect-uri", CALLBACK, "--origin", ORIGIN]
    assert main(command) == 0
    first = json.loads(capsys.readouterr().out)["web"]
    assert (first["redirect_uris"], first["javascript_origins"]) == ([CALLBACK], [ORIGIN])
    client = Client(local, first["client_id"], first["client_secret"])
    assert client.exchange(client.code()).status_code == 200
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["web"] == first
    assert main(["client", "my desktop/x", "--type", "desktop", *options(local)]) == 0
    assert json.loads(capsys.readouterr().out).keys() == {"installed"}
    assert local.cloud.oauth_clients.list()[1].name == "my desktop/x"


def test_a_refused_client(local: Local, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["client", "x", *options(local), "--redirect-uri", "https://198.51.100.7/callback"]) == 1
    assert capsys.readouterr().err.startswith("localcloud: Invalid Redirect: https://198.51.100.7/callback: must end")


def test_the_accounts(local: Local, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["users", *options(local)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(user.email for user in DEFAULTS)
    assert "mallory@example.com      consumer account, address not verified" in lines
    assert "alan@example.org         Google Workspace of example.org" in lines


@pytest.mark.parametrize("command", [["users"], ["client", "x"]])
def test_no_local_cloud(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--home", str(tmp_path), "--port", "1"]) == 1
    assert "no local cloud answers at http://127.0.0.1:1" in capsys.readouterr().err


def test_an_older_local_cloud(
    local: Local, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no such request, and answers with a page."""
    monkeypatch.setattr("localcloud.commands.client.quote", lambda *_, **__: "a/b/c")
    assert main(["client", "x", *options(local)]) == 1
    assert "answers 404. If the local cloud is older than this command, restart it" in capsys.readouterr().err


def test_the_demo_explains_the_browser(local: Local, tmp_path: Path) -> None:
    Compute(local, local.session()).made("regions/us-central1/addresses", {"name": "mlflow-address"})
    (tmp_path / "mlflow-local-mlflow").mkdir()
    (tmp_path / "mlflow-local-mlflow" / "ca.pem").touch()
    environment = os.environ | {
        "MLFLOW_LOCALCLOUD_HOME": str(local.home),
        "MLFLOW_LOCALCLOUD_PORT": str(local.port),
        "MLFLOW_GCP_STATE_DIRECTORY": str(tmp_path),
    }
    command = [str(REPOSITORY / "scripts" / "browse.sh"), "--explain"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "https://mlflow.example.com\n" in done.stdout
    assert "mlflow.example.com is 198.51.100." in done.stdout
    assert f"its CA is {tmp_path}/mlflow-local-mlflow/ca.pem" in done.stdout
    assert "accounts.google.com is 198.51.100.1, port 8743" in done.stdout
    for user in DEFAULTS:
        assert user.email in done.stdout


def test_the_demo_has_a_name_that_google_accepts(local: Local) -> None:
    variables = yaml.safe_load(DEMO.read_text())
    assert variables["mlflow_authentication"] == "oauth2_proxy"
    url = f"https://{variables['deployment_hostname']}"
    client = Client.register(local, redirect_uris=[f"{url}/oauth2/callback"], javascript_origins=[url])
    assert client.id
    users = {user.email: user for user in local.cloud.users.list()}
    for admin in variables["mlflow_identity_admins"]:
        assert users[admin].hosted_domain in variables["mlflow_identity_domains"]


def test_an_unknown_mode_changes_nothing() -> None:
    environment = os.environ | {"AUTH": "kerberos"}
    done = subprocess.run([str(REPOSITORY / "scripts/up.sh")], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == ("error: AUTH is kerberos. Set it to basic (default) or oauth2_proxy. Nothing was changed\n")
