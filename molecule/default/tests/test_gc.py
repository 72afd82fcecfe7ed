# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The purge of deleted runs on a VM: by playbook and by timer, and never beside another operation.

There was no way to purge deleted runs without reading the database password by hand.
"""

from __future__ import annotations

import json
import os
import re
import secrets as random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow_server import Server
from testinfra.host import Host

SCENARIO = Path(__file__).parents[1]
INVENTORY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory"
REPOSITORY = SCENARIO.parents[1]
ARTIFACTS = "/srv/mlflow-artifacts"
DROP_IN = "/run/systemd/system/mlflow-gc.service.d"
FILES = ["/etc/systemd/system/mlflow-gc.service", "/etc/systemd/system/mlflow-gc.timer"]


def run_role(*arguments: str, **settings: Any) -> tuple[int, int, str]:
    """Run the role; return the exit code, the number of changes and the output without line breaks."""
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(REPOSITORY / "collections"),
        "ANSIBLE_NOCOLOR": "1",
    }
    command = ["ansible-playbook", "-i", str(INVENTORY), str(SCENARIO / "gc.yml"), "-e", json.dumps(settings)]
    done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, timeout=300)
    changed = re.search(r"changed=(\d+)", done.stdout)
    return done.returncode, int(changed[1]) if changed else 0, " ".join((done.stdout + done.stderr).split())


@pytest.fixture
def client(server: Server, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", server.password)
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(server.ca))
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    return MlflowClient(server.url)


@pytest.fixture
def deleted(client: MlflowClient) -> str:
    """A deleted run with a metric and an artifact."""
    experiment = client.create_experiment(f"gc-{random.token_hex(4)}")
    run = client.create_run(experiment, run_name="to-be-purged").info.run_id
    client.log_metric(run, "loss", 1.0)
    client.log_text(run, "x" * 1000, "notes/note.txt")
    client.set_terminated(run)
    client.delete_run(run)
    return str(run)


@pytest.fixture
def timer(host: Host) -> Iterator[Host]:
    """Remove the timer after the test."""
    yield host
    assert run_role(gc_state="absent")[0] == 0
    assert not [name for name in FILES if host.file(name).exists]


def artifacts(host: Host, run: str) -> list[str]:
    return host.check_output(f"find {ARTIFACTS}/*/{run} -type f 2>/dev/null || true").split()


def test_a_dry_run_a_purge_and_a_second_purge(host: Host, client: MlflowClient, deleted: str) -> None:
    named = {"gc_run_ids": [deleted], "gc_older_than": "0d"}
    code, changed, said = run_role("--check", **named)
    assert (code, changed) == (0, 1), said
    assert f"Would purge run {deleted} (to-be-purged, experiment" in said
    assert "1 artifacts, 1000 bytes" in said
    assert client.get_run(deleted).info.lifecycle_stage == "deleted"
    assert len(artifacts(host, deleted)) == 1

    # As on the command line: a text in place of a list.
    code, changed, said = run_role("-e", f"gc_run_ids={deleted},", gc_older_than="0d")
    assert (code, changed) == (0, 1), said
    assert "Purged 1 runs" in said
    with pytest.raises(MlflowException, match="not found"):
        client.get_run(deleted)
    assert artifacts(host, deleted) == []
    count = f"select count(*) from metrics where run_uuid = '{deleted}'"
    assert host.check_output("runuser -u postgres -- psql -At mlflow -c %s", count) == "0"

    code, changed, said = run_role(**named)
    assert (code, changed) == (0, 0), said
    assert f"Unknown, or purged before: run {deleted}" in said
    # Without a calendar no file remains.
    assert not [name for name in FILES if host.file(name).exists]
    assert host.check_output("systemctl list-units --all --plain --no-legend 'mlflow-gc*'") == ""


def test_a_run_whose_artifacts_cannot_be_deleted_keeps_its_rows(host: Host, client: MlflowClient, deleted: str) -> None:
    (file,) = artifacts(host, deleted)
    folder = str(Path(file).parent)
    host.check_output("chown root:root %s", folder)
    named = {"gc_run_ids": [deleted], "gc_older_than": "0d"}
    code, _changed, said = run_role(**named)
    assert code == 2
    assert f"run {deleted} (to-be-purged" in said
    assert "PermissionError" in said
    assert client.get_run(deleted).info.lifecycle_stage == "deleted"
    host.check_output("chown mlflow:mlflow %s", folder)
    assert run_role(**named)[0] == 0
    assert artifacts(host, deleted) == []


def test_the_timer_purges_and_is_removed(
    timer: Host, secrets: dict[str, str], client: MlflowClient, deleted: str
) -> None:
    host, calendar = timer, {"gc_calendar": "Sun 04:00", "gc_older_than": "3650d"}
    check = run_role("--check", **calendar)
    assert check[0] == 0, check[2]
    assert not host.file(FILES[0]).exists
    first, second = run_role(**calendar), run_role(**calendar)
    assert (first[0], second[:2]) == (0, (0, 0)), first[2] + second[2]
    assert host.check_output("systemctl is-enabled mlflow-gc.timer") == "enabled"
    assert host.check_output("systemctl is-active mlflow-gc.timer") == "active"
    assert "Sun" in host.check_output("systemctl list-timers --all --no-legend mlflow-gc.timer")

    # The same command as that of the timer.
    host.check_output("sed -i 's/3650d/0d/' %s && systemctl daemon-reload", FILES[0])
    host.check_output("systemctl start mlflow-gc.service")
    journal = host.check_output("journalctl -t mlflow-gc --no-pager -o cat")
    assert f"Purged run {deleted}" in journal
    assert secrets["mlflow.admin-password"] not in journal
    with pytest.raises(MlflowException, match="not found"):
        client.get_run(deleted)
    assert host.check_output("ls -d /run/mlflow-gc* || true") == ""


def test_no_purge_during_a_backup(timer: Host, deleted: str) -> None:
    host = timer
    assert run_role(gc_calendar="Sun 04:00", gc_older_than="3650d")[0] == 0
    host.check_output("systemd-run --unit=mlflow-backup --collect --quiet /usr/bin/sleep infinity")
    try:
        host.check_output("systemctl start mlflow-gc.service")
        assert host.check_output("systemctl show -P Result mlflow-gc.service") == "exec-condition"
        code, _changed, said = run_role(gc_run_ids=[deleted], gc_older_than="0d", gc_calendar="")
    finally:
        host.check_output("systemctl stop mlflow-backup.service")
    assert code == 2
    assert "mlflow-backup.service is active (a backup that counts rows)" in said
    assert len(artifacts(host, deleted)) == 1


def test_a_cutover_stops_the_purge(timer: Host) -> None:
    host = timer
    assert run_role(gc_calendar="Sun 04:00", gc_older_than="3650d")[0] == 0
    endless = "[Service]\\nExecStart=\\nExecStart=/usr/bin/sleep infinity\\n"
    host.check_output("mkdir -p %s", DROP_IN)
    host.check_output(f"printf '{endless}' > {DROP_IN}/test.conf && systemctl daemon-reload")
    try:
        host.check_output("systemctl start --no-block mlflow-gc.service")
        before = host.check_output("sleep 1; systemctl show -P ActiveState,InvocationID mlflow-gc.service").split()
        assert before[0] == "activating"
        host.check_output("systemctl reload mlflow")
        after = host.check_output("systemctl show -P ActiveState,InvocationID mlflow-gc.service").split()
        assert after != before
    finally:
        host.check_output("systemctl stop mlflow-gc.service; rm -r %s", DROP_IN)
        host.check_output("systemctl daemon-reload; systemctl reset-failed mlflow-gc.service || true")
    assert host.run("/usr/local/bin/mlflowctl ready --timeout 240").rc == 0


def test_a_purge_does_not_start_a_server_that_a_restore_stopped(timer: Host, deleted: str) -> None:
    host = timer
    assert run_role(gc_calendar="Sun 04:00", gc_older_than="3650d")[0] == 0
    host.check_output("systemctl stop mlflow.service")
    try:
        assert host.run("systemctl start mlflow-gc.service").rc != 0
        assert host.run("systemctl is-active mlflow.service").rc != 0
        code, _changed, said = run_role(gc_run_ids=[deleted], gc_older_than="0d", gc_calendar="")
    finally:
        host.check_output("systemctl start mlflow.service")
    assert code == 2
    assert "mlflow.service is inactive (active is required)" in said
    assert host.run("/usr/local/bin/mlflowctl ready --timeout 240").rc == 0


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"gc_older_than": "a month"}, "gc_older_than is 'a month', which is not an age"),
        ({"gc_run_ids": ["x; reboot"]}, "gc_run_ids is ['x; reboot']"),
        ({"gc_experiment_ids": ["one"]}, "gc_experiment_ids is ['one']"),
        ({"gc_calendar": "now and then"}, "gc_calendar is 'now and then', which systemd does not understand"),
        ({"gc_calendar": "Sun 04:00", "gc_run_ids": ["abc"]}, "a timer purges everything that is old enough"),
        ({"gc_older_then": "30d"}, "Unknown role variable gc_older_then. Did you mean gc_older_than?"),
    ],
)
def test_a_bad_value_is_refused(settings: dict[str, Any], word: str) -> None:
    code, changed, said = run_role(**settings)
    assert (code, changed) == (2, 0)
    assert word in said
