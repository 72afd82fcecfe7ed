# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The doctor finds no failure on a healthy deployment, and each injected failure. MLflow's own demo passes."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
import requests

from tests.e2e.deployment import Deployment, changes

MARK = "mlops.mlflow_gcp.doctor"
RULE = "projects/{project}/global/firewalls/mlflow-allow-https"
BACKUPS = "v1/projects/{project}/instances/mlflow-database/backupRuns"
# The VMs of the local cloud have no time service. Their clocks count as synchronised if the host has one.
KNOWN = {"clock"}
# Slow checks, which most tests skip.
SLOW = ["run", "artifact", "drift"]

Results = dict[str, dict[str, Any]]


def run_doctor(
    site: Deployment, *, skip: list[str] = SLOW, check: bool = False, **settings: Any
) -> tuple[int, Results, str]:
    """Run the doctor; return the exit code, the check results and the output."""
    output = site.artifacts / "doctor.json"
    output.unlink(missing_ok=True)
    given = {
        "doctor_format": "json",
        "doctor_output": str(output),
        "doctor_skip": skip,
        "doctor_artifact_megabytes": 20,
        "doctor_advisories_url": "",
        **settings,
    }
    arguments = ["playbooks/doctor.yml", "-e", json.dumps(given), *(["--check"] if check else [])]
    done = site.playbook(*arguments, check=False, log="doctor")
    assert output.exists(), done.stdout[-3000:]
    document = json.loads(output.read_text())
    return done.returncode, {each["name"]: each for each in document["checks"]}, done.stdout


def failed(results: Results) -> set[str]:
    return {name for name, result in results.items() if result["state"] == "fail"}


@pytest.fixture(scope="module")
def healthy(site: Deployment) -> Deployment:
    """Return the deployment with a backup of today."""
    runs = BACKUPS.format(project=site.project)
    if not any(run["status"] == "SUCCESSFUL" for run in site.call("GET", "sql", runs).get("items", [])):
        site.call("POST", "sql", runs, data=json.dumps({"description": "for the doctor"}))
        deadline = time.monotonic() + 120
        while not any(run["status"] == "SUCCESSFUL" for run in site.call("GET", "sql", runs).get("items", [])):
            assert time.monotonic() < deadline, "the backup was not made"
            time.sleep(1)
    return site


def marked_runs(site: Deployment) -> list[dict[str, Any]]:
    found = requests.post(
        f"{site.url}/api/2.0/mlflow/runs/search",
        json={"experiment_ids": ["0"], "filter": f"tags.`{MARK}` LIKE '%'", "run_view_type": "ALL"},
        auth=site.admin,
        verify=str(site.ca),
        timeout=30,
    )
    assert found.ok, found.text
    return list(found.json().get("runs", []))


def test_a_healthy_deployment_passes_and_the_run_is_deleted(
    healthy: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In a time zone with an offset, where a wrong conversion of the time causes a large skew.
    monkeypatch.setitem(healthy.environment, "TZ", "Asia/Kolkata")
    code, results, output = run_doctor(healthy, skip=[])
    assert code == 0, output[-3000:]
    assert failed(results) == set()
    assert {name for name, result in results.items() if result["state"] == "warn"} <= KNOWN, results
    assert re.fullmatch(r"20 MB, content equal, \d+ MB/s up, \d+ MB/s down", results["artifact"]["value"])
    assert len(results) == 22  # all but the advisories
    assert all(each["remedy"] == "" for each in results.values() if each["state"] == "ok")
    assert changes(output) == {"localhost": 0, "mlflow-server": 0}
    assert {run["info"]["lifecycle_stage"] for run in marked_runs(healthy)} == {"deleted"}
    # The artifact is deleted, too. The lifecycle rule of the bucket removes its noncurrent version.
    bucket = f"{healthy.project}-mlflow-artifacts"
    objects = healthy.call("GET", "storage", f"b/{bucket}/o").get("items", [])
    assert [each["name"] for each in objects if each["name"].endswith("doctor.bin")] == []
    assert healthy.admin[1] not in output


def test_the_table_and_the_exit_code_with_warnings(healthy: Deployment) -> None:
    settings = {
        "doctor_skip": SLOW,
        "doctor_fail_on": "warn",
        "doctor_advisories_url": "",
        "doctor_secret_warn_days": 0,
    }
    done = healthy.playbook("playbooks/doctor.yml", "-e", json.dumps(settings), check=False, log="doctor-table")
    assert re.search(r"^ +authentication +ok +401 without a password, 200 as admin$", done.stdout, re.MULTILINE)
    assert re.search(
        r"^ +secrets +WARN [^>]* h old\n +-> ansible-playbook playbooks/rotate.yml$", done.stdout, re.MULTILINE
    )
    assert re.search(r"[12] warn, 0 fail; skipped: run, artifact, advisories, drift", done.stdout)
    assert done.returncode == 2
    assert re.search(r"checks warn or fail: (clock, )?secrets", done.stdout)


# Failures. tests/unit/module_utils/_doctor has the failures of each check.


@contextmanager
def firewall_open(site: Deployment) -> Iterator[None]:
    rule = RULE.format(project=site.project)
    before = site.call("GET", "compute", rule)["sourceRanges"]
    change(site, rule, {"sourceRanges": [*before, "192.0.2.0/24"]})
    try:
        yield
    finally:
        change(site, rule, {"sourceRanges": before})


def change(site: Deployment, path: str, body: dict[str, Any]) -> None:
    operation = site.call("PATCH", "compute", path, data=json.dumps(body))
    wait = f"projects/{site.project}/global/operations/{operation['name']}/wait"
    assert site.call("POST", "compute", wait)["status"] == "DONE"


class Osv(BaseHTTPRequestHandler):
    """A fake OSV service that knows one vulnerability, of MLflow."""

    asked: ClassVar[dict[str, str]] = {}

    def answer(self, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        self.asked.update({query["package"]["name"].lower(): query["version"] for query in queries})
        results = [{"vulns": [{"id": "GHSA-test"}]} if q["package"]["name"] == "mlflow" else {} for q in queries]
        self.answer({"results": results})

    def do_GET(self) -> None:
        assert self.path == "/v1/vulns/GHSA-test"
        self.answer({"aliases": ["CVE-2026-4711"], "database_specific": {"severity": "HIGH"}})

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@pytest.fixture
def advisories() -> Iterator[str]:
    """Yield the URL of the fake OSV service."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_failures_are_reported_with_their_remedies(healthy: Deployment, advisories: str) -> None:
    settings = {
        "doctor_backup_warn_hours": 0,
        "doctor_backup_fail_hours": 0,
        "doctor_certificate_warn_days": 500,
        "doctor_certificate_fail_days": 400,
        "doctor_ca_warn_days": 4000,
        "doctor_ca_fail_days": 3700,
        "doctor_secret_warn_days": 0,
        "doctor_advisories_url": advisories,
        "mlflow_minimum_version": "99.0.0",
    }
    with firewall_open(healthy):
        code, results, output = run_doctor(healthy, skip=["run", "artifact"], **settings)
    assert code == 2
    assert failed(results) == {"advisories", "backups", "ca", "certificate", "drift", "release"}, output[-3000:]
    assert results["secrets"]["state"] == "warn"
    for name, value, remedy in [
        ("advisories", "CVE-2026-4711 (mlflow, high)", ""),
        ("backups", "h old", "playbooks/backup.yml"),
        ("ca", "days left", "give its certificate to all clients"),
        ("certificate", "days left", "certificates_renew_days=500"),
        ("drift", "1 differ: firewall rule mlflow-allow-https (sourceRanges)", "site.yml --check --diff"),
        ("release", "older than 99.0.0", "playbooks/upgrade.yml"),
        ("secrets", "mlflow-admin-password", "playbooks/rotate.yml"),
    ]:
        assert value in results[name]["value"]
        assert remedy in results[name]["remedy"]
    assert {"mlflow", "flask", "sqlalchemy", "uvicorn"} <= set(Osv.asked)
    assert re.search(rf"6 of {len(results)} checks fail: ", output)


def test_the_other_checks_run_while_the_vm_is_stopped(healthy: Deployment) -> None:
    zone = f"projects/{healthy.project}/zones/europe-west1-b"

    def act(verb: str) -> None:
        operation = healthy.call("POST", "compute", f"{zone}/instances/mlflow-server/{verb}")
        while healthy.call("POST", "compute", f"{zone}/operations/{operation['name']}/wait")["status"] != "DONE":
            pass

    act("stop")
    try:
        code, results, output = run_doctor(healthy, skip=["drift"])
    finally:
        act("start")
        healthy.wait_until_serving()
    assert code == 2
    assert results["vm"]["value"] == "mlflow-server is TERMINATED"
    assert "gcloud compute instances start mlflow-server" in results["vm"]["remedy"]
    assert {"address", "vm", "run", "artifact", "server", "disk", "schema"} <= failed(results), output[-3000:]
    assert {results[name]["state"] for name in ("ca", "database", "backups", "secrets")} == {"ok"}


# MLflow's own demo


def demo_is_seen(site: Deployment) -> bool:
    answer = requests.get(
        f"{site.url}/api/2.0/mlflow/experiments/get-by-name",
        params={"experiment_name": "MLflow Demo"},
        auth=site.admin,
        verify=str(site.ca),
        timeout=30,
    )
    return answer.ok and answer.json()["experiment"]["lifecycle_stage"] == "active"


def test_the_demo_passes_and_is_taken_away(healthy: Deployment) -> None:
    output = healthy.playbook("playbooks/validate.yml", log="validate").stdout
    told = re.search(
        r"(\d+) traces, (\d+) runs and\s+(\d+) prompts in\s+([\d.]+) s;\s+read back, and\s+deleted", output
    )
    assert told, output[-3000:]
    assert min(int(count) for count in told.groups()[:3]) > 0
    assert changes(output) == {"localhost": 0}
    assert not demo_is_seen(healthy)
    assert healthy.admin[1] not in output
