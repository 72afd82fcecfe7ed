# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The whole path with MLflow itself: a job logs a run with a token, and a person opens the run with a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.front_end.browser import SITE, browser_of, photograph, sign_in
from tests.front_end.client import NAME, Answer, Client, Headers, bearer
from tests.front_end.mlflow_stand_in import basic
from tests.front_end.site import OAUTH2_PROXY, Site, short_directory, site
from tests.support.pages import open_page
from tests.unit.mlflowctl import served

ADMIN = [("Authorization", basic(served.ADMIN, served.ADMIN_PASSWORD))]
# As the role mlflow sets them.
HOSTS = {"MLFLOW_SERVER_ALLOWED_HOSTS": f"{NAME},localhost", "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": f"https://{NAME}"}
CHALLENGE = ['Bearer realm="mlflow"']


@pytest.fixture(scope="module")
def whole() -> Iterator[Site]:
    """Run MLflow with the server package behind the front end."""
    with (
        short_directory() as folder,
        served.served(folder, single_sign_on=True, **HOSTS),
        site(OAUTH2_PROXY, secret=served.SECRET, nginx_upstream_socket=str(folder / "mlflow.sock")) as made,
        made.run_oauth2_proxy(),
    ):
        yield made


def post(client: Client, path: str, headers: Headers, **body: Any) -> Answer:
    """Send a JSON document to MLflow's API."""
    sent = [*headers, ("Content-Type", "application/json")]
    return client.ask(f"/api/2.0/mlflow/{path}", sent, method="POST", body=json.dumps(body).encode())


def log_run(site: Site, email: str, name: str) -> tuple[str, str]:
    """Log a run with a token. Return the experiment and the run."""
    token = [bearer(site.provider.token(email))]
    experiment = post(site.client, "experiments/create", token, name=name)
    assert experiment.status == 200, experiment.text
    number = experiment.document["experiment_id"]
    run = post(site.client, "runs/create", token, experiment_id=number, run_name=f"run-{name}")
    identifier = run.document["run"]["info"]["run_id"]
    metric = post(site.client, "runs/log-metric", token, run_id=identifier, key="accuracy", value=0.75, timestamp=1)
    assert metric.status == 200
    return number, identifier


def test_a_person_opens_the_run_that_a_job_logged(whole: Site, screenshots: Path) -> None:
    experiment, run = log_run(whole, "alice@example.com", "linked")
    url = f"{SITE}/#/experiments/{experiment}/runs/{run}"
    with browser_of(whole) as browser:
        page = browser.new_context(ignore_https_errors=True).new_page()
        sign_in(page, "alice@example.com", url)
        page.wait_for_url(url)
        open_page(page, url, "run-linked")
        page.get_by_text("accuracy").first.wait_for(timeout=60_000)
        photograph(page, screenshots / "8-run-of-mlflow.png")


def test_only_the_owner_and_the_administrator_read_a_run(whole: Site) -> None:
    _, run = log_run(whole, "alice@example.com", "private")
    path = f"/api/2.0/mlflow/runs/get?run_id={run}"
    for headers, status in (
        ([bearer(whole.provider.token("alice@example.com"))], 200),
        (ADMIN, 200),
        ([bearer(whole.provider.token("bob@example.com"))], 403),
        ([bearer("x")], 401),
        ([], 401),
    ):
        answer = whole.client.ask(path, headers)
        assert answer.status == status, answer.text
        assert answer.challenges == (CHALLENGE if status == 401 else [])


def test_identities_that_the_server_refuses(whole: Site) -> None:
    """OAuth2-Proxy accepts the address, and MLflow checks the claim `hd`."""
    token = whole.provider.token("alice@example.com", hd=None)
    answer = whole.client.ask("/api/2.0/mlflow/experiments/get?experiment_id=0", [bearer(token)])
    assert answer.status == 403
    assert "the claim hd is missing" in answer.text


def test_a_forged_identity_is_refused(whole: Site) -> None:
    for headers in (
        [("X-MLflow-Authorization", f"Identity {served.SECRET} boss@example.com")],
        [("Authorization", f"Identity {served.SECRET} boss@example.com")],
        [("X_MLflow_Authorization", f"Identity {served.SECRET} boss@example.com")],
    ):
        assert whole.client.ask("/api/2.0/mlflow/experiments/get?experiment_id=0", headers).status == 401


def test_a_wrong_password_has_one_challenge(whole: Site) -> None:
    wrong = [("Authorization", basic(served.ADMIN, "wrong-password"))]
    for path in ("/version", "/metrics"):
        answer = whole.client.ask(path, wrong)
        assert (answer.status, answer.challenges) == (401, CHALLENGE)


@pytest.mark.parametrize(
    "path", ["/api/2.0/mlflow/experiments/create", "/graphql", "/ajax-api/2.0/mlflow/upload-artifact"]
)
def test_a_refused_client_may_use_its_connection_again(whole: Site, path: str) -> None:
    """MLflow refused a request before its body arrived, so nginx closed a connection that it had called open."""
    wrong = [("Authorization", basic(served.ADMIN, "wrong-password"))]
    assert whole.client.send_body_late(path, wrong, b"{}") == (401, 200)
