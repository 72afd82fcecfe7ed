# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A running deployment changes to `oauth2_proxy` and back to `basic`, with people, jobs and strangers.

The tests run in this order: each one needs the mode that the former one left.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import pytest
import requests
from playwright.sync_api import BrowserContext, Page, sync_playwright

from tests.e2e.deployment import REPO, Deployment, changes
from tests.support.background import Target, background
from tests.support.tunnel import tunnel

NAME = "mlflow.example.com"
SITE = f"https://{NAME}"
API = "/api/2.0/mlflow"
PROBE = f"{API}/experiments/get?experiment_id=0"
OWN_ACCOUNT = f"{API}/users/current"
SESSION = "__Host-mlflow"
# Seconds. The client package refreshes such a token at each request that comes after 30 seconds.
SHORT = 60
JOB_SECONDS = 3 * SHORT
JOB = f"""
import time
import mlflow

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str]) -> list[str]:
        return model_input

mlflow.set_experiment("job")
with mlflow.start_run() as run:
    end, step = time.monotonic() + {JOB_SECONDS}, 0
    while time.monotonic() < end:
        mlflow.log_metric("step", step, step=step)
        step += 1
        time.sleep(1)
    mlflow.pyfunc.log_model(name="model", python_model=Model(), pip_requirements=[])
    print("logged", run.info.run_id, step)
"""


@pytest.fixture(scope="module")
def site(local_cloud: None) -> Iterator[Deployment]:
    """Yield a deployment in the mode `basic`, with the variables of both modes."""
    project = f"mlflow-e2e-{uuid.uuid4().hex[:8]}"
    made = Deployment(project=project, artifacts=REPO / "artifacts" / "e2e" / project, settings={})
    made.create_project()
    made.settings |= {
        "deployment_hostname": NAME,
        "infrastructure_subnetwork_range": "10.170.0.0/20",
        "infrastructure_database_deletion_protection": False,
        "mlflow_identity_domains": ["example.com"],
        "mlflow_identity_admins": ["ada@example.com"],
        "mlflow_identity_service_accounts": [f"@{project}.iam.gserviceaccount.com"],
    }
    made.playbook("site.yml", log="site")
    # The clients reach the name through a proxy. gcloud and Ansible have an environment of their own.
    with (
        tunnel(lambda name: (made.address, 443) if name == NAME else None) as proxy,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("HTTPS_PROXY", proxy)
        yield made
    confirm = f"infrastructure_destroy_confirm={project}/mlflow"
    made.playbook("playbooks/destroy.yml", "-e", confirm, "-e", "infrastructure_destroy_data=true", log="destroy")


def change_mode(site: Deployment, mode: str) -> None:
    """Run site.yml with another authentication mode."""
    site.settings["mlflow_authentication"] = mode
    if mode == "oauth2_proxy":
        site.settings |= register(site)
    site.playbook("site.yml", log=f"site-{mode}")


def register(site: Deployment) -> dict[str, str]:
    """Create an OAuth client, as a person does in Google's console; return its role variables."""
    uris = {"redirect_uris": [f"{SITE}/oauth2/callback"], "javascript_origins": [SITE]}
    client = site.administer("PUT", f"clients/{site.project}", json={"type": "web", **uris})["web"]
    return {
        "authentication_oauth2_proxy_client_id": client["client_id"],
        "authentication_oauth2_proxy_client_secret": client["client_secret"],
    }


def ask(site: Deployment, path: str = OWN_ACCOUNT, method: str = "GET", **headers: str) -> requests.Response:
    """Send a request without a client's own credentials."""
    return requests.request(
        method, SITE + path, headers=headers, verify=str(site.ca), timeout=30, allow_redirects=False
    )


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@contextmanager
def repeated(site: Deployment, headers: dict[str, str]) -> Iterator[Counter[int]]:
    """Send a request five times a second while the block runs. Yields the number of each status."""
    statuses: Counter[int] = Counter()
    ended = Event()

    def run() -> None:
        while not ended.wait(0.2):
            statuses[ask(site, PROBE, **headers).status_code] += 1

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        try:
            yield statuses
        finally:
            ended.set()
        # A request that failed without a status fails the test.
        running.result()


# Identities as nginx sends them, with a guessed secret and in other spellings. No mode may accept one.
BOSS = "ada@example.com"
FORGED = {
    "X-MLflow-Authorization": f"Identity guessed {BOSS}",
    "X-Forwarded-Email": BOSS,
    "X-Auth-Request-Email": BOSS,
    "X_MLflow_Authorization": f"Identity guessed {BOSS}",
}


@contextmanager
def change_under_load(site: Deployment, **credentials: dict[str, str]) -> Iterator[dict[str, Counter[int]]]:
    """Send requests while the block runs; yield the statuses by credential. No request with the password may fail."""
    with ExitStack() as stack:
        probe = stack.enter_context(background("probe", Target(SITE, site.ca, site.admin[1]), 1500))
        statuses = {
            name: stack.enter_context(repeated(site, headers))
            for name, headers in {"forged": FORGED, "anonymous": {}, **credentials}.items()
        }
        yield statuses
        report = probe.report()
    (site.artifacts / "change-of-mode.log").open("a").write(json.dumps([report, statuses]) + "\n")
    assert report["failed"] == 0, report
    assert report["requests"] > 100, report
    for name in ("forged", "anonymous"):
        assert statuses[name].keys() == {401}, statuses


def test_a_change_to_single_sign_on_under_load(site: Deployment) -> None:
    with change_under_load(site, token=bearer(token(site, robot(site)))) as statuses:
        change_mode(site, "oauth2_proxy")
    # The token of the job is accepted as soon as the mode has changed, and not before.
    assert statuses["token"].keys() <= {200, 401, 403}, statuses
    assert ask(site, PROBE, **bearer(token(site, robot(site)))).status_code == 200
    assert set(changes(site.playbook("site.yml", log="site-again").stdout).values()) == {0}


# People


@contextmanager
def person(site: Deployment) -> Iterator[Page]:
    """Yield a page in a new browser. It resolves names and trusts certificates as `make browse` does."""
    chromium = subprocess.run([REPO / "scripts/browser.sh"], capture_output=True, text=True, check=True).stdout.strip()
    command = [sys.executable, "-m", "localcloud", "browser", "--site", f"{NAME}={site.address}", "--ca", str(site.ca)]
    options = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True).stdout
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    quiet += ["--no-proxy-server"]
    with TemporaryDirectory() as profile, sync_playwright() as playwright:
        context: BrowserContext = playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium, args=[*quiet, *shlex.split(options)]
        )
        yield context.pages[0]
        context.close()


def choose(page: Page, email: str, url: str = f"{SITE}/") -> None:
    """Open a page of the site and sign in at accounts.google.com."""
    page.goto(url)
    page.wait_for_url("https://accounts.google.com/**")
    page.locator(f'button[value="{email}"]').click()


def photograph(site: Deployment, page: Page, name: str) -> None:
    folder = site.artifacts / "screenshots"
    folder.mkdir(exist_ok=True)
    page.screenshot(path=folder / f"{name}.png")


def session_of(page: Page) -> str:
    """Return the session's cookie; fail if the person has none."""
    (found,) = [each for each in page.context.cookies() if each["name"] == SESSION]
    return f"{SESSION}={found['value']}"


def test_a_person_comes_from_nothing_to_the_linked_run(site: Deployment) -> None:
    experiment, run = log_run(site, site.admin)
    link = f"{SITE}/#/experiments/{experiment}/runs/{run}"
    with person(site) as page:
        choose(page, "ada@example.com", link)
        page.wait_for_url(link)
        page.get_by_text("linked-run").first.wait_for(timeout=60_000)
        photograph(site, page, "1-linked-run")
        user = page.evaluate("fetch('/ajax-api/2.0/mlflow/users/current').then(r => r.json()).then(r => r.user)")
        assert (user["username"], user["is_admin"]) == ("ada@example.com", True)
        page.goto(f"{SITE}/oauth2/sign_out?rd=/signed-out")
        page.get_by_role("heading", name="Signed out").wait_for()
        photograph(site, page, "2-signed-out")
        assert page.evaluate("fetch('/version').then(r => r.status)") == 401


def log_run(site: Deployment, credential: tuple[str, str]) -> tuple[str, str]:
    """Log a run with name and password. Return the experiment and the run."""

    def post(path: str, **body: Any) -> dict[str, Any]:
        answer = requests.post(f"{SITE}{API}/{path}", json=body, auth=credential, verify=str(site.ca), timeout=30)
        assert answer.ok, answer.text
        return dict(answer.json())

    experiment = post("experiments/create", name=f"linked-{time.time_ns()}")["experiment_id"]
    run = post("runs/create", experiment_id=experiment, run_name="linked-run")["run"]["info"]["run_id"]
    return experiment, run


@pytest.mark.parametrize(
    ("email", "status"),
    [("alan@example.org", None), ("mallory@example.com", None), ("joan@gmail.com", None), ("linus@example.com", 403)],
)
def test_other_people_are_refused(site: Deployment, email: str, status: int | None) -> None:
    """OAuth2-Proxy refuses the domain and the unverified address. MLflow refuses a consumer account by its claims."""
    with person(site) as page:
        choose(page, email)
        page.wait_for_url(f"{SITE}/**")
        photograph(site, page, f"3-refused-{email}")
        answer = page.goto(f"{SITE}{OWN_ACCOUNT}")
        assert answer
        assert answer.status == (status or 401)


def test_a_removed_person_can_not_sign_in_again(site: Deployment) -> None:
    user = {"name": "Leaver", "hosted_domain": "example.com", "email_verified": True}
    site.administer("PUT", "users/leaver@example.com", json=user)
    with person(site) as page:
        choose(page, "leaver@example.com")
        page.wait_for_url(f"{SITE}/**")
        session_of(page)
        site.administer("DELETE", "users/leaver@example.com")
        page.context.clear_cookies()
        page.goto(f"{SITE}/")
        page.wait_for_url("https://accounts.google.com/**")
        assert page.locator('button[value="leaver@example.com"]').count() == 0
        photograph(site, page, "4-removed")


# Jobs


def robot(site: Deployment) -> Path:
    """Return the key file of a service account of the project, made once."""
    file = site.artifacts / "robot.json"
    if not file.exists():
        account = f"trainer@{site.project}.iam.gserviceaccount.com"
        accounts = f"v1/projects/{site.project}/serviceAccounts"
        site.call("POST", "iam", accounts, data=json.dumps({"accountId": "trainer"}))
        site.gcloud("iam", "service-accounts", "keys", "create", str(file), f"--iam-account={account}")
    return file


def token(site: Deployment, key: Path, audience: str = SITE) -> str:
    """Return the identity token that gcloud prints for a service account."""
    folder = site.artifacts / "gcloud-robot"
    # Without the credentials of the project's owner.
    environment = site.environment | {"CLOUDSDK_CONFIG": str(folder)}
    del environment["CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE"]
    login = ["gcloud", "--quiet", "auth", "activate-service-account", f"--key-file={key}"]
    subprocess.run(login, env=environment, capture_output=True, check=True, timeout=120)
    done = subprocess.run(
        ["gcloud", "auth", "print-identity-token", f"--audiences={audience}"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def client(site: Deployment, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code of a user without name and password."""
    clean = {name: value for name, value in site.environment.items() if not name.startswith("MLFLOW_TRACKING")}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=clean
        | {
            "HTTPS_PROXY": os.environ["HTTPS_PROXY"],
            "MLFLOW_TRACKING_URI": SITE,
            "MLFLOW_TRACKING_SERVER_CERT_PATH": str(site.ca),
        }
        | environment,
        capture_output=True,
        text=True,
        timeout=JOB_SECONDS + 240,
    )


@pytest.fixture(scope="module")
def package(site: Deployment, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Install the client package; return the directory for PYTHONPATH."""
    folder = tmp_path_factory.mktemp("package")
    uv = [str(Path(sys.executable).parent / "uv"), "pip", "install", "--quiet", "--system-certs", "--no-deps"]
    command = [*uv, "--target", str(folder), str(REPO / "clients" / "python")]
    subprocess.run(command, env=site.environment, check=True)
    return str(folder)


def test_a_job_outlives_its_tokens(site: Deployment, package: str) -> None:
    """Each token is valid for a minute, and the job logs for three minutes."""
    before = site.administer("GET", "profile", params={"project": site.project})
    site.administer("PUT", "profile", params={"project": site.project}, json=before | {"id_token": SHORT})
    done = client(
        site,
        JOB,
        PYTHONPATH=package,
        MLFLOW_TRACKING_AUTH="google",
        GOOGLE_APPLICATION_CREDENTIALS=str(robot(site)),
    )
    site.administer("PUT", "profile", params={"project": site.project}, json=before)
    assert done.returncode == 0, done.stderr[-3000:]
    line = re.search(r"^logged (\w+) (\d+)$", done.stdout, re.MULTILINE)
    assert line, done.stdout
    run, steps = line.groups()
    password = site.admin
    found = requests.get(
        f"{SITE}{API}/runs/get", params={"run_id": run}, auth=password, verify=str(site.ca), timeout=30
    ).json()["run"]
    assert found["info"]["status"] == "FINISHED"
    (metric,) = found["data"]["metrics"]
    assert (metric["value"], metric["step"]) == (int(steps) - 1, int(steps) - 1)
    assert int(steps) > JOB_SECONDS / 10


def test_a_token_of_gcloud(site: Deployment) -> None:
    code = "import mlflow; print(mlflow.search_experiments()[0].name)"
    done = client(site, code, MLFLOW_TRACKING_TOKEN=token(site, robot(site)))
    assert (done.returncode, done.stdout.split()) == (0, ["job"]), done.stderr[-3000:]
    begin = time.monotonic()
    other = client(site, code, MLFLOW_TRACKING_TOKEN=token(site, robot(site), "https://elsewhere.example.com"))
    assert other.returncode != 0
    assert "UNAUTHENTICATED" in other.stderr
    # The client does not repeat the request.
    assert time.monotonic() - begin < 60


def test_back_to_passwords_under_load(site: Deployment) -> None:
    """A session and a token are accepted until the mode changes, and never after it."""
    with person(site) as page:
        choose(page, "ada@example.com")
        page.wait_for_url(f"{SITE}/**")
        session = {"Cookie": session_of(page)}
    sent = bearer(token(site, robot(site)))
    assert ask(site, PROBE, **session).status_code == ask(site, PROBE, **sent).status_code == 200
    with change_under_load(site, session=session, token=sent) as statuses:
        change_mode(site, "basic")
    for name in ("session", "token"):
        assert statuses[name].keys() <= {200, 401}, statuses
        assert statuses[name][200] > 10, statuses
    for headers in (session, sent):
        assert ask(site, PROBE, **headers).status_code == 401
    assert set(changes(site.playbook("site.yml", log="site-last").stdout).values()) == {0}
