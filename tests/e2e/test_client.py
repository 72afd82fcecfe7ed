# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""An MLflow client logs and loads over TLS: objects in the bucket, rows in PostgreSQL, no access without a password."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import requests

from tests.e2e.deployment import REPO, Deployment

ROUTES = [
    ("POST", "/api/2.0/mlflow/experiments/search"),
    ("POST", "/api/2.0/mlflow/runs/search"),
    ("POST", "/api/2.0/mlflow/runs/create"),
    ("GET", "/api/2.0/mlflow/registered-models/search"),
    ("GET", "/api/2.0/mlflow-artifacts/artifacts"),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/x"),
    ("POST", "/ajax-api/2.0/mlflow/experiments/search"),
    ("GET", "/ajax-api/2.0/mlflow/users/current"),
    ("GET", "/api/2.0/mlflow/users/get?username=admin"),
    ("POST", "/api/3.0/mlflow/traces/search"),
    ("POST", "/graphql"),
    ("POST", "/v1/traces"),
    ("GET", "/"),
    ("GET", "/get-artifact?path=x&run_uuid=y"),
    ("GET", "/model-versions/get-artifact?path=x&name=y&version=1"),
    ("GET", "/signup"),
]


@pytest.fixture(scope="module")
def run_id(site: Deployment) -> str:
    """Run the printed snippet unchanged; return the ID of its run."""
    snippet = subprocess.run(
        ["make", "-s", "snippet"], cwd=REPO, env=site.environment, capture_output=True, text=True, timeout=120
    )
    assert snippet.returncode == 0, snippet.stderr
    assert site.admin[1] not in snippet.stdout, "the snippet holds the password"
    done = subprocess.run(
        [sys.executable, "-"],
        input=snippet.stdout,
        cwd=REPO,
        env=site.environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = re.search(r"runs/([0-9a-f]{32})", done.stdout)
    assert found, done.stdout
    return found[1]


def test_the_run_is_there_for_another_client(site: Deployment, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in site.client_environment.items():
        monkeypatch.setenv(name, value)
    import mlflow

    mlflow.set_tracking_uri(site.url)
    run = mlflow.MlflowClient().get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params
    assert run.data.metrics
    assert run.info.artifact_uri.startswith("mlflow-artifacts:/")


def test_the_model_is_objects_in_the_bucket(site: Deployment, run_id: str) -> None:
    listing = site.call("GET", "storage", f"b/{site.project}-mlflow-artifacts/o")
    names = [item["name"] for item in listing["items"]]
    assert any(name.endswith("MLmodel") for name in names), names
    assert any(name.endswith((".pkl", ".skops")) for name in names), names


def test_the_rows_are_in_postgresql(site: Deployment, run_id: str) -> None:
    script = f"""
import glob, subprocess
uri = open('/run/credstore/mlflow.database-uri').read().strip().replace('postgresql+psycopg2', 'postgresql')
code = '''
import os, psycopg2
cursor = psycopg2.connect(os.environ['URI']).cursor()
cursor.execute('select status from runs where run_uuid = %s', ['{run_id}'])
print(cursor.fetchall())
'''
python = sorted(glob.glob('/opt/mlflow/releases/*/bin/python'))[-1]
environment = dict(URI=uri, PGSSLROOTCERT='/run/credstore/mlflow.database-ca')
print(subprocess.run([python, '-c', code], env=environment, check=True, capture_output=True, text=True).stdout)
"""
    rows = site.ssh(f"sudo python3 - <<'EOF'\n{script}\nEOF")
    assert "FINISHED" in rows


@pytest.mark.parametrize(("method", "route"), ROUTES)
def test_every_route_requires_a_password(site: Deployment, method: str, route: str) -> None:
    body = {"json": {}} if method == "POST" else {}
    answer = requests.request(method, site.url + route, verify=str(site.ca), timeout=30, allow_redirects=False, **body)
    assert answer.status_code == 401, f"{answer.status_code} {answer.text[:300]}"


def test_a_wrong_password_is_refused(site: Deployment) -> None:
    answer = requests.post(
        f"{site.url}/api/2.0/mlflow/experiments/search",
        json={"max_results": 1},
        auth=("admin", "password1234"),
        verify=str(site.ca),
        timeout=30,
    )
    assert answer.status_code == 401


def test_plain_http_only_redirects(site: Deployment) -> None:
    answer = requests.get(f"http://{site.address}/", timeout=30, allow_redirects=False)
    assert answer.status_code in (301, 308)
    assert answer.headers["Location"].startswith(site.url)


def test_a_missing_artifact_is_not_found_at_once(site: Deployment) -> None:
    """The server answered 500, and clients repeat such a request for minutes."""
    url = f"{site.url}/api/2.0/mlflow-artifacts/artifacts/0/{'0' * 32}/artifacts/nope.txt"
    answer = requests.get(url, auth=site.admin, verify=str(site.ca), timeout=60)
    assert answer.status_code == 404
    assert answer.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert f"{site.project}-mlflow-artifacts" in answer.json()["message"]


def test_a_missing_permission_on_the_bucket_is_named(site: Deployment) -> None:
    bucket = f"{site.project}-mlflow-artifacts"
    policy = site.call("GET", "storage", f"b/{bucket}/iam")
    ours = [each for each in policy["bindings"] if any("mlflow-server@" in member for member in each["members"])]
    assert ours
    others = [each for each in policy["bindings"] if each not in ours]
    changed = site.call("PUT", "storage", f"b/{bucket}/iam", json={"bindings": others, "etag": policy["etag"]})
    try:
        url = f"{site.url}/api/2.0/mlflow-artifacts/artifacts/0/{'0' * 32}/artifacts/model.bin"
        uploaded = requests.put(url, b"x", auth=site.admin, verify=str(site.ca), timeout=60)
        downloaded = requests.get(url, auth=site.admin, verify=str(site.ca), timeout=60)
    finally:
        site.call("PUT", "storage", f"b/{bucket}/iam", json={"bindings": policy["bindings"], "etag": changed["etag"]})
    for answer, permission in ((uploaded, "storage.objects.create"), (downloaded, "storage.objects.")):
        assert answer.status_code == 403, answer.text
        assert answer.json()["error_code"] == "PERMISSION_DENIED"
        assert bucket in answer.json()["message"]
        assert permission in answer.json()["message"]
