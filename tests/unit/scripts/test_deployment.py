# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The output of `make url`, `make password` and `make snippet`, and their error messages."""

from __future__ import annotations

import ast
import base64
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import responses
import trustme
from requests.adapters import HTTPAdapter

from scripts import deployment

COMPUTE = "http://cloud.test/compute/v1/"
SECRETS = "http://cloud.test/secretmanager/"
ADDRESSES = f"{COMPUTE}projects/p/aggregated/addresses"
PASSWORD = f"{SECRETS}v1/projects/p/secrets/mlflow-admin-password/versions/latest:access"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", COMPUTE)
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER", SECRETS)
    monkeypatch.setenv("CLOUDSDK_AUTH_ACCESS_TOKEN", "token")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    monkeypatch.setenv("MLFLOW_GCP_STATE_DIRECTORY", str(tmp_path))
    monkeypatch.delenv("DEPLOYMENT", raising=False)
    monkeypatch.setattr(deployment, "setting", {}.get)


@pytest.fixture
def cloud() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as scripted:
        yield scripted


def address(name: str = "mlflow-address", value: str = "198.51.100.7") -> dict[str, object]:
    return {"regions/r": {"addresses": [{"name": name, "address": value, "addressType": "EXTERNAL"}]}}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["deployment.py", *arguments])
    return deployment.main()


def test_url_is_the_static_address(
    cloud: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.get(ADDRESSES, json={"items": address()})
    assert run(monkeypatch, "url") == 0
    assert capsys.readouterr().out == "https://198.51.100.7\n"
    assert cloud.calls[0].request.headers["authorization"] == "Bearer token"


def test_address_is_found_on_a_later_page_and_by_its_full_name(cloud: responses.RequestsMock) -> None:
    cloud.get(ADDRESSES, json={"items": address("other-mlflow-address", "198.51.100.8"), "nextPageToken": "more"})
    cloud.get(
        ADDRESSES,
        json={"items": {"global": {"warning": {}}} | address()},
        match=[responses.matchers.query_param_matcher({"pageToken": "more"}, strict_match=False)],
    )
    assert deployment.Deployment("p", "mlflow").address == "198.51.100.7"


def test_url_is_the_host_name_if_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "setting", {"deployment_hostname": "mlflow.example.com"}.get)
    assert deployment.Deployment("p", "mlflow").url == "https://mlflow.example.com"


def test_address_and_ca(
    cloud: responses.RequestsMock,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(deployment, "setting", {"deployment_hostname": "mlflow.example.com"}.get)
    cloud.get(ADDRESSES, json={"items": address()})
    assert run(monkeypatch, "address") == 0
    assert run(monkeypatch, "ca") == 0
    assert capsys.readouterr().out == "198.51.100.7\n\n"
    authority = tmp_path / "p-mlflow" / "ca.pem"
    authority.parent.mkdir()
    authority.touch()
    assert run(monkeypatch, "ca") == 0
    assert capsys.readouterr().out == f"{authority}\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Yield the address of an https server with a certificate for mlflow.example.com."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            known = self.headers["Host"] == "mlflow.example.com"
            self.send_response(200 if known and self.command == "GET" else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = answer  # noqa: N815 (the names of http.server)

        def log_message(self, *_: object) -> None:
            pass

    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("mlflow.example.com").configure_cert(context)
    folder = tmp_path / "mlflow-local-mlflow"
    folder.mkdir()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.socket = context.wrap_socket(made.socket, server_side=True)
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{made.server_port}"
        made.shutdown()


def test_status_needs_no_name_server_on_the_local_cloud(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment.Deployment, "address", server)
    monkeypatch.setattr(deployment, "setting", {"deployment_hostname": "mlflow.example.com"}.get)
    local = deployment.Deployment("mlflow-local", "mlflow")
    assert deployment.answers(local) == "/health answers 200, the API requires a password"
    # The certificate must be that of the name.
    monkeypatch.setattr(deployment, "setting", {"deployment_hostname": "other.example.com"}.get)
    assert "CertificateError" in deployment.answers(local)
    # The name of a deployment on Google has a DNS record, which clients use.
    session = deployment.clients_session(deployment.Deployment("p", "mlflow"))
    assert type(session.get_adapter("https://other.example.com/")) is HTTPAdapter


def test_variables_of_the_deployment_override_those_of_all_deployments(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(deployment, "REPOSITORY", tmp_path)
    monkeypatch.setenv("DEPLOYMENT", "staging")
    for folder, text in (
        (tmp_path, "deployment_name: all\ndeployment_hostname: '{{ name }}.example.com'\ndeployment_zone: z"),
        (tmp_path / "inventory" / "staging", "deployment_name: blue\ndeployment_project: p"),
        (tmp_path / "inventory" / "mlflow", "# comments only"),
    ):
        (folder / "group_vars").mkdir(parents=True)
        (folder / "group_vars" / "all.yml").write_text(text)
    names = ("deployment_name", "deployment_hostname", "deployment_zone", "deployment_region")
    assert [deployment.setting(name) for name in names] == ["blue", None, "z", None]
    assert run(monkeypatch, "project") == 0
    assert capsys.readouterr().out == "p\n"
    monkeypatch.delenv("DEPLOYMENT")
    assert deployment.setting("deployment_name") == "all"


def test_password_comes_from_secret_manager(
    cloud: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.get(PASSWORD, json={"payload": {"data": base64.b64encode(b"pa$$ word").decode()}})
    assert run(monkeypatch, "password") == 0
    assert capsys.readouterr().out == "pa$$ word\n"


def variables(snippet: str) -> dict[str, ast.expr]:
    """Return the environment variables that the code sets."""
    return {
        ast.literal_eval(node.targets[0].slice): node.value
        for node in ast.parse(snippet).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript)
    }


def test_snippet_trusts_the_saved_ca_and_reads_the_password_when_it_runs(
    cloud: responses.RequestsMock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOYMENT", "staging")
    cloud.get(ADDRESSES, json={"items": address("blue-address")})
    authority = tmp_path / "p-blue" / "ca.pem"
    authority.parent.mkdir()
    authority.touch()
    settings = variables(deployment.snippet(deployment.Deployment("p", "blue")))
    assert ast.literal_eval(settings["MLFLOW_TRACKING_URI"]) == "https://198.51.100.7"
    assert ast.literal_eval(settings["MLFLOW_TRACKING_SERVER_CERT_PATH"]) == str(authority)
    assert "'GOOGLE_CLOUD_PROJECT=p', 'DEPLOYMENT=staging', 'password'" in ast.unparse(
        settings["MLFLOW_TRACKING_PASSWORD"]
    )


def test_snippet_leaves_a_public_certificate_to_the_system(cloud: responses.RequestsMock) -> None:
    cloud.get(ADDRESSES, json={"items": address()})
    assert "CERT_PATH" not in deployment.snippet(deployment.Deployment("p", "mlflow"))


SINGLE_SIGN_ON = {"mlflow_authentication": "oauth2_proxy", "deployment_hostname": "mlflow.example.com"}


def test_snippet_sends_identity_tokens_with_single_sign_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "setting", SINGLE_SIGN_ON.get)
    text = deployment.snippet(deployment.Deployment("p", "mlflow"))
    # Users may only read the experiments of others.
    assert 'mlflow.set_experiment(f"first-steps-{getpass.getuser()}")' in text
    found = variables(text)
    sent = {name: ast.literal_eval(value) for name, value in found.items()}
    assert sent == {"MLFLOW_TRACKING_URI": "https://mlflow.example.com", "MLFLOW_TRACKING_AUTH": "google"}


def test_snippet_on_the_local_cloud_names_the_line_of_etc_hosts(
    cloud: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployment, "setting", SINGLE_SIGN_ON.get)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/home/ada/credentials.json")
    cloud.get(ADDRESSES.replace("/p/", "/mlflow-local/"), json={"items": address()})
    text = deployment.snippet(deployment.Deployment("mlflow-local", "mlflow"))
    assert "198.51.100.7 mlflow.example.com" in text
    assert {name: ast.literal_eval(value) for name, value in variables(text).items()} == {
        "MLFLOW_TRACKING_URI": "https://mlflow.example.com",
        "MLFLOW_TRACKING_AUTH": "google",
        "GOOGLE_APPLICATION_CREDENTIALS": "/home/ada/credentials.json",
    }


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (200, {"items": {}}, "project p has no address mlflow-address. Deploy with: ansible-playbook site.yml"),
        (403, {"error": {"message": "Required 'compute.addresses.list'"}}, "answers 403"),
    ],
)
def test_the_error_names_the_missing_resource(
    cloud: responses.RequestsMock,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: int,
    body: dict[str, object],
    says: str,
) -> None:
    cloud.get(ADDRESSES, status=status, json=body)
    assert run(monkeypatch, "url") == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert says in printed.err


def test_without_a_local_cloud_the_error_names_the_command(
    cloud: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.get(ADDRESSES, body=deployment.requests.ConnectionError("refused"))
    assert run(monkeypatch, "url") == 1
    assert "make up" in capsys.readouterr().err


def test_without_a_project_the_error_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    monkeypatch.delenv("CLOUDSDK_CORE_PROJECT", raising=False)
    assert run(monkeypatch, "url") == 1
    assert "GOOGLE_CLOUD_PROJECT" in capsys.readouterr().err


def test_state_directory_is_that_of_the_playbooks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(deployment, "setting", {"deployment_name": "team"}.get)
    assert run(monkeypatch, "state") == 0
    assert capsys.readouterr().out == f"{tmp_path}/p-team\n"
