# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The report of `make verify-on-google`: masking, requests and the order of the playbooks."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import responses

from scripts import verify_on_google as verify

Json = dict[str, Any]
PROJECT, NUMBER, OTHER = "ann-mlflow-42", "123456789012", "ann-mlflow-42-old"
SECRETS = {
    "project": PROJECT,
    "number": NUMBER,
    "quota project": OTHER,
    "e-mail address": "ann.smith+ml@example.co.uk",
    "service account": f"mlflow-vm@{PROJECT}.iam.gserviceaccount.com",
    "IPv4 address": "34.77.12.9",
    "IPv6 address": "2600:1900:4010:abc::1",
    "access token": "ya29.a0AfB_byC-x",
    "ID token": "eyJhbGciOi.eyJpc3MiOi.c2lnbmF0dXJl",
    "password": "hunter-2",
    "private key": "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----",
    "another project": "projects/somebody-elses",
    "organisation": "organizations/987654321098",
    "home directory": "/home/ann",
}
KEPT = (
    "SERVICE_DISABLED",
    "19:27:51",
    "192",
    "3.17.2",
    "networks/default",
    "12.87",
    "mlops.mlflow_gcp.infrastructure",
)
KNOWN = [(PROJECT, "PROJECT"), (NUMBER, "NUMBER"), (OTHER, "OTHER-PROJECT"), ("/home/ann", "HOME"), (None, "NONE")]


def written(text: str, folder: Path, mask: Callable[[str], str]) -> str:
    report = verify.Report()
    report.section("Section", text)
    report.table(("Key", "Value"), [("cell", text)])
    report.write(folder / "report.md", mask)
    return (folder / "report.md").read_text()


@pytest.mark.parametrize("what", SECRETS)
@pytest.mark.parametrize("around", ["{}", 'password: "{}",', "see {}, and", "https://{}/x?a=1", "({}) 1 {} 2"])
def test_nothing_that_identifies_is_written(what: str, around: str, tmp_path: Path) -> None:
    secret = SECRETS[what]
    if what == "password":  # The mask detects a password only by the word before it.
        around = "admin_password={}"
    text = around.replace("{}", secret)
    parts = secret.splitlines()  # Each line of a private key is masked.
    unmasked, masked = (written(text, tmp_path, mask) for mask in (str, verify.Mask(KNOWN)))
    assert [part for part in parts if part not in unmasked] == []
    assert [part for part in parts if part in masked] == []
    assert masked.count("## Section") == 1
    assert "| cell | " in masked


def test_facts_are_written(tmp_path: Path) -> None:
    found = written(" ".join(KEPT), tmp_path, verify.Mask(KNOWN))
    assert [word for word in KEPT if found.count(word) != 2] == []


def test_one_projects_id_may_begin_with_anothers() -> None:
    assert verify.Mask(KNOWN)(f"{OTHER} {PROJECT}-mlflow") == "OTHER-PROJECT PROJECT-mlflow"


class Credentials:
    """Credentials of a user with a separate quota project."""

    token = "ya29.token-of-the-test"
    quota_project_id = OTHER

    def refresh(self, request: Any) -> None:
        """Do nothing."""


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[responses.RequestsMock]:
    monkeypatch.setattr(verify.google.auth, "default", lambda **_scopes: (Credentials(), None))
    monkeypatch.setattr(verify, "REPOSITORY", tmp_path)
    for name in list(os.environ):
        if name.startswith(("CLOUDSDK_", "GOOGLE_", "VERIFY_", "MLFLOW_GCP_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", PROJECT)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as scripted:
        yield scripted


def answer(google: responses.RequestsMock, **found: Json) -> None:
    """Script the responses of an empty project. The separate quota project has not enabled Service Networking."""
    disabled = {"reason": "SERVICE_DISABLED", "metadata": {"consumer": "projects/764086051850"}}
    refusal = {"code": 403, "message": f"not used in project {NUMBER} before", "details": [disabled]}
    answers: dict[str, tuple[int, Json]] = {
        f"/v1/projects/{PROJECT}": (200, {"projectNumber": NUMBER}),
        f"/v1/projects/{PROJECT}:getEffectiveOrgPolicy": (200, {"booleanPolicy": {"enforced": True}}),
        "/v1/services/servicenetworking.googleapis.com/connections": (403, {"error": refusal}),
        **{f"/v1/projects/{PROJECT}/instances/{name}": (200, document) for name, document in found.items()},
    }

    def reply(request: Any) -> tuple[int, dict[str, str], str]:
        missing = {"error": {"code": 404, "status": "NOT_FOUND", "message": "no"}}
        code, document = answers.get(urlsplit(request.url).path, (404, missing))
        return code, {}, json.dumps(document)

    for method in (responses.GET, responses.POST):
        google.add_callback(method, re.compile(".*"), reply)


def report(folder: Path) -> str:
    (found,) = (folder / "artifacts").glob("verify-on-google-*.md")
    return found.read_text()


def test_without_a_confirmation_it_only_reads(google: responses.RequestsMock, tmp_path: Path) -> None:
    answer(google)
    assert verify.main() == 0
    assert {call.request.method for call in google.calls if ":getEffectiveOrgPolicy" not in call.request.url} == {"GET"}
    found, disabled = report(tmp_path), "SERVICE_DISABLED: projects/GOOGLES-SHARED-PROJECT"
    for line in (
        "`tests.unit.scripts.test_verify_on_google.Credentials`, quota project: another project.",
        f"| servicenetworking | none | 403 | {disabled}: not used in project NUMBER before |",
        "| servicenetworking | of the credentials | 403 | SERVICE_DISABLED",
        '| gcp.resourceLocations | {"enforced": true} |',
        "`networks/default`: 404 NOT_FOUND: no.",
    ):
        assert line in found, found
    for secret in (PROJECT, NUMBER, OTHER, Credentials.token):
        assert secret not in found
    headers = {call.request.headers.get("X-Goog-User-Project") for call in google.calls}
    assert headers == {None, PROJECT, OTHER}


PLAYBOOK = """#!/bin/sh
echo "$@" >>"$RUNS"
count=$(wc -l <"$RUNS")
echo "mlops.mlflow_gcp.infrastructure : Create or update the Cloud SQL instance - 386.54s"
echo "mlops.mlflow_gcp.infrastructure : Look ------------------------------------- 0.54s"
[ "$count" != "$FAILS_AT" ] || { echo "[ERROR]: Task failed: quota of ann@example.com"; exit 2; }
changed=3; [ "$count" != 2 ] || changed=$SECOND_CHANGES
echo "localhost                  : ok=9  changed=$changed   unreachable=0    failed=0    skipped=0"
"""


@pytest.fixture
def runs(google: responses.RequestsMock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    answer(google)
    program = tmp_path / "bin" / "ansible-playbook"
    program.parent.mkdir()
    program.write_text(PLAYBOOK)
    program.chmod(0o755)
    for name, value in {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "RUNS": str(tmp_path / "runs"),
        "FAILS_AT": "0",
        "SECOND_CHANGES": "0",
        "VERIFY_CREATE": "1",
        "MLFLOW_GCP_SSH_SOURCE_RANGES": "198.51.100.1/32",
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "runs"


def playbooks(runs: Path) -> list[str]:
    lines = runs.read_text().splitlines()
    assert all(line.endswith("-e deployment_name=verify") for line in lines)
    return [line.split()[0].removeprefix("playbooks/") for line in lines]


def test_a_deployment_lives_from_site_to_destroy(runs: Path, tmp_path: Path) -> None:
    assert verify.main() == 0
    whole = ["site.yml", "site.yml", "doctor.yml", "backup.yml", "destroy.yml", "provision.yml", "destroy.yml"]
    assert playbooks(runs) == whole
    found = report(tmp_path)
    assert found.count("| ok |") == len(whole)
    assert "| Build | mlops.mlflow_gcp.infrastructure : Create or update the Cloud SQL instance | 386.54 |" in found
    assert "Look" not in found


@pytest.mark.parametrize(("fails_at", "after"), [(1, ["destroy.yml"]), (4, ["destroy.yml"]), (5, ["destroy.yml"])])
def test_the_deployment_is_destroyed_after_a_failure(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int, after: list[str]
) -> None:
    monkeypatch.setenv("FAILS_AT", str(fails_at))
    assert verify.main() == 1
    assert playbooks(runs)[fails_at:] == after
    assert "FAILED (2): Task failed: quota of EMAIL" in report(tmp_path)


def test_a_second_run_that_changes_something_is_a_failure(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECOND_CHANGES", "1")
    assert verify.main() == 1
    assert playbooks(runs) == ["site.yml", "site.yml", "destroy.yml"]


def test_an_existing_deployment_is_not_changed(
    runs: Path, google: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    google.reset()
    answer(google, **{"verify-database": {"name": "verify-database"}})
    assert verify.main() == 1
    assert not runs.exists()
    assert "has a deployment called verify" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["GOOGLE_CLOUD_PROJECT", "MLFLOW_GCP_SSH_SOURCE_RANGES"])
def test_a_missing_value_is_named(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.delenv(name)
    assert verify.main() == 1
    assert name in capsys.readouterr().err
    assert not runs.exists()
