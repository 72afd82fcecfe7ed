# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Upgrade, rollback, backup, restore and rotation of a deployment in the mode `oauth2_proxy`.

A job with an identity token works before and after each operation. No operation has a moment in which the server
accepts a forged identity or a stranger. The tests run in this order: each one needs the state of the former one.
"""

from __future__ import annotations

import subprocess
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests

from tests.e2e.deployment import BIN, REPO, Deployment, changes
from tests.e2e.long.test_single_sign_on import (
    API,
    FORGED,
    NAME,
    PROBE,
    SITE,
    ask,
    bearer,
    choose,
    person,
    register,
    repeated,
    robot,
    session_of,
    token,
)
from tests.e2e.test_doctor import SLOW
from tests.support.tunnel import tunnel

OLD, NEW = "3.16.1", "3.17.2"
BACKUP = "with-sign-in"


@pytest.fixture(scope="module")
def site(local_cloud: None) -> Iterator[Deployment]:
    """Yield a deployment of an older release. Its first run has the mode already."""
    project = f"mlflow-e2e-{uuid.uuid4().hex[:8]}"
    made = Deployment(project=project, artifacts=REPO / "artifacts" / "e2e" / project, settings={})
    made.create_project()
    made.settings |= {
        "deployment_hostname": NAME,
        "infrastructure_subnetwork_range": "10.174.0.0/20",
        "infrastructure_database_deletion_protection": False,
        **old_release(made.artifacts),
        "upgrade_watch_seconds": 5,
        "mlflow_authentication": "oauth2_proxy",
        "mlflow_identity_domains": ["example.com"],
        "mlflow_identity_service_accounts": [f"@{project}.iam.gserviceaccount.com"],
        **register(made),
    }
    made.playbook("site.yml", log="site")
    with (
        tunnel(lambda name: (made.address, 443) if name == NAME else None) as proxy,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("HTTPS_PROXY", proxy)
        yield made
    confirm = f"infrastructure_destroy_confirm={project}/mlflow"
    made.playbook("playbooks/destroy.yml", "-e", confirm, "-e", "infrastructure_destroy_data=true", log="destroy")


def old_release(folder: Path) -> dict[str, str]:
    """Lock the requirements of the old release, as roles/mlflow/README.md describes; return the role variables."""
    files = REPO / "roles" / "mlflow" / "files"
    listed, locked = folder / "requirements.in", folder / f"requirements-{OLD}.txt"
    listed.write_text((files / "requirements.in").read_text().replace(NEW, OLD))
    options = ["--quiet", "--universal", "--generate-hashes", "--no-annotate", "--no-emit-index-url", "--no-header"]
    command = [BIN / "uv", "pip", "compile", *options, "--python-version", "3.11", str(listed), "-o", str(locked)]
    # Only before the first run: later the proxy of the clients is set.
    if not locked.exists():
        subprocess.run(command, check=True)
    return {"mlflow_version": OLD, "mlflow_requirements_file": str(locked)}


def job(site: Deployment, method: str, path: str, **body: str) -> requests.Response:
    """Send a request of a job to MLflow's API, with a new token."""
    headers = bearer(token(site, robot(site)))
    return requests.request(
        method, f"{SITE}{API}/{path}", json=body or None, headers=headers, verify=str(site.ca), timeout=30
    )


def version(site: Deployment) -> str:
    return requests.get(f"{SITE}/version", auth=site.admin, verify=str(site.ca), timeout=30).text.strip()


@contextmanager
def strangers_are_refused(site: Deployment, *, maintenance: bool) -> Iterator[None]:
    """Send requests of strangers and of a job while the block runs. With maintenance, the server may answer 503."""
    credentials = {"forged": FORGED, "anonymous": {}, "job": bearer(token(site, robot(site)))}
    with ExitStack() as stack:
        statuses: dict[str, Counter[int]] = {
            name: stack.enter_context(repeated(site, headers)) for name, headers in credentials.items()
        }
        yield
    allowed = {503} if maintenance else set()
    for name, expected in (("forged", 401), ("anonymous", 401), ("job", 200)):
        assert statuses[name].keys() <= {expected, *allowed}, statuses
        assert statuses[name][expected] > 10, statuses


def test_the_first_run_has_the_mode(site: Deployment) -> None:
    assert job(site, "POST", "experiments/create", name="of-the-job").ok
    assert version(site) == OLD
    assert set(changes(site.playbook("site.yml", log="site-again").stdout).values()) == {0}


def test_an_upgrade(site: Deployment) -> None:
    site.settings |= {"mlflow_version": NEW, "mlflow_requirements_file": ""}
    with strangers_are_refused(site, maintenance=True):
        site.playbook("playbooks/upgrade.yml", log="upgrade")
    assert version(site) == NEW
    assert job(site, "GET", "experiments/get-by-name?experiment_name=of-the-job").ok


def test_the_doctor_and_the_validation_find_no_fault(site: Deployment) -> None:
    done = site.playbook_as_client("playbooks/validate.yml")
    assert done.returncode == 0, done.stdout[-3000:]
    found = site.doctor(*SLOW)
    assert {"authentication", "sign-in", "oauth2-proxy", "provider"} <= found.keys()
    assert [each for each in found.values() if each["state"] == "fail"] == []


def test_a_rollback(site: Deployment) -> None:
    assert job(site, "POST", "experiments/create", name="after-the-upgrade").ok
    site.settings |= old_release(site.artifacts)
    confirm = f"upgrade_rollback_confirm={site.project}/mlflow"
    with strangers_are_refused(site, maintenance=True):
        site.playbook("playbooks/rollback.yml", "-e", confirm, log="rollback")
    assert version(site) == OLD
    names = ("of-the-job", "after-the-upgrade")
    found = [job(site, "GET", f"experiments/get-by-name?experiment_name={name}").status_code for name in names]
    assert found == [200, 404]


def test_a_restore(site: Deployment) -> None:
    site.playbook("playbooks/backup.yml", "-e", f"backup_name={BACKUP}", log="backup")
    experiment = job(site, "GET", "experiments/get-by-name?experiment_name=of-the-job").json()["experiment"]
    assert job(site, "POST", "experiments/delete", experiment_id=experiment["experiment_id"]).ok
    user = f"trainer@{site.project}.iam.gserviceaccount.com"
    deleted = requests.delete(
        f"{SITE}{API}/users/delete", json={"username": user}, auth=site.admin, verify=str(site.ca), timeout=30
    )
    assert deleted.ok, deleted.text
    confirm = f"backup_restore_confirm={site.project}/mlflow"
    with strangers_are_refused(site, maintenance=True):
        site.playbook("playbooks/restore.yml", "-e", f"backup_name={BACKUP}", "-e", confirm, log="restore")
    again = job(site, "GET", "experiments/get-by-name?experiment_name=of-the-job").json()["experiment"]
    assert again["lifecycle_stage"] == "active"
    # The owner of the experiment is the same user.
    assert job(site, "POST", "experiments/update", experiment_id=again["experiment_id"], new_name="renamed").ok


def test_a_rotation_ends_the_sessions(site: Deployment) -> None:
    with person(site) as page:
        choose(page, "ada@example.com")
        page.wait_for_url(f"{SITE}/**")
        session = {"Cookie": session_of(page)}
    assert ask(site, PROBE, **session).status_code == 200
    with strangers_are_refused(site, maintenance=False):
        site.playbook("playbooks/rotate.yml", log="rotate")
    assert ask(site, PROBE, **session).status_code == 401
    assert set(changes(site.playbook("site.yml", log="site-last").stdout).values()) == {0}
