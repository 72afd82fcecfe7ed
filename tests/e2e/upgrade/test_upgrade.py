# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Upgrade from MLflow 2.22 to 3.17 with playbooks/upgrade.yml, by hand and by a timer.

After each failure the old version serves with the old data, and the next run continues from there. The failures are
real: a backup that Cloud SQL refuses, a killed control node, a release that crashes. molecule/upgrade has the failures
on the VM, the unit tests have the others.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from mlflow import MlflowClient

from tests.e2e.control_host import ControlHost, control_host
from tests.e2e.deployment import BIN, REPO, Deployment, changes
from tests.e2e.upgrade.data import Data, client_of, make
from tests.e2e.upgrade.google import GOOGLE, calls, record, recorded
from tests.support.background import Target, background
from tests.support.measure import TOLERANCE
from tests.support.planted import crash

OLD, NEW = "2.22.5", "3.17.2"
LOCK = REPO / "molecule" / "upgrade" / f"requirements-{OLD}.txt"
PLAYBOOK = "playbooks/upgrade.yml"
PROGRAM = "sudo mlflowctl"
# Pattern of pgrep for the installation of the packages of a release.
BUILD = "^/opt/mlflow/releases/[^ ]+/bin/python -m pip install "
# Short values keep the tests short. The VM waits this long for a killed control node.
SETTINGS = {
    "infrastructure_subnetwork_range": "10.150.0.0/20",
    "infrastructure_database_deletion_protection": False,
    "mlflow_minimum_version": "2.22.0",
    "mlflow_drain_timeout": 30,
    "upgrade_watch_seconds": 5,
    "upgrade_approval_timeout_seconds": 15,
}


class Run:
    """A running ansible-playbook that a test can watch and kill."""

    def __init__(self, deployment: Deployment, log: str, *arguments: str) -> None:
        self.log = deployment.artifacts / f"{log}.log"
        command = [str(BIN / "ansible-playbook"), *arguments, "-e", json.dumps(deployment.settings)]
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                command,
                cwd=REPO,
                env=deployment.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, text: str, seconds: float = 600) -> None:
        """Wait until the log contains the text."""
        deadline = time.monotonic() + seconds
        while text not in self.log.read_text():
            assert self.process.poll() is None, f"ended before '{text}':\n{self.log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"no '{text}' within {seconds} s"
            time.sleep(0.2)

    def kill(self) -> None:
        """Kill the run without a cleanup. The workers have separate sessions and complete their current task."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def words(output: str) -> str:
    """Return the output of Ansible on one line, without the backslashes of folded texts in double quotes."""
    return re.sub(r"(?:\\\n\s*\\?|\s)+", " ", output)


def upgrade(deployment: Deployment, log: str, *arguments: str, check: bool = True) -> str:
    """Run upgrade.yml. Without `check`, assert that the exit code and the recap report a failure."""
    done = deployment.playbook(PLAYBOOK, *arguments, check=check, log=log)
    assert check or (done.returncode != 0 and re.search(r"failed=1\b", done.stdout)), done.stdout[-3000:]
    return words(done.stdout) if not check else done.stdout


def status(deployment: Deployment) -> dict[str, Any]:
    """Return the status of the slots on the VM."""
    found: dict[str, Any] = json.loads(deployment.ssh(f"{PROGRAM} status"))
    return found


def watch_builds(deployment: Deployment) -> None:
    """Record the running builds on the VM twice a second."""
    loop = f"while sleep 0.5; do pgrep --full '{BUILD}' | xargs; done >/run/builds"
    deployment.ssh(f"sudo systemd-run --quiet --unit=builds sh -c {shlex.quote(loop)}")


def watched_builds(deployment: Deployment) -> list[set[str]]:
    """Return the recorded builds. A process that was seen for less than two seconds is not a build."""
    deployment.ssh("sudo systemctl stop builds")
    seen = [set(line.split()) for line in deployment.ssh("sudo cat /run/builds").splitlines()]
    times = Counter(process for processes in seen for process in processes)
    return [{process for process in processes if times[process] > 3} for processes in seen]


def serving(deployment: Deployment) -> str:
    """Return the version of the server, requested from outside."""
    answer = requests.get(f"{deployment.url}/version", auth=deployment.admin, verify=str(deployment.ca), timeout=30)
    assert answer.ok, answer.text
    return answer.text.strip()


@contextmanager
def deployed(*arguments: str, profile: dict[str, Any] | None = None, **settings: Any) -> Iterator[Deployment]:
    """Create a deployment in a separate project, and destroy it after the block."""
    project = f"mlflow-e2e-{uuid.uuid4().hex[:8]}"
    made = Deployment(project=project, artifacts=REPO / "artifacts" / "e2e" / project, settings=SETTINGS | settings)
    made.create_project()
    if profile:
        made.administer("PUT", "profile", params={"project": project}, json=profile)
    begun = time.time()
    made.playbook("site.yml", *arguments, log="site")
    record(made, "site", begun)
    yield made
    destroy(made)


def destroy(deployment: Deployment) -> None:
    """Remove the deployment with its data."""
    confirm = f"infrastructure_destroy_confirm={deployment.project}/mlflow"
    deployment.playbook("playbooks/destroy.yml", "-e", confirm, "-e", "infrastructure_destroy_data=true", log="destroy")


@pytest.fixture(scope="module")
def old(local_cloud: None) -> Iterator[Deployment]:
    """Create a deployment of MLflow 2.22 in a project with the scaled delays of Google."""
    arguments = {"mlflow_version": OLD, "mlflow_requirements_file": str(LOCK)}
    with deployed("-e", json.dumps(arguments), profile=GOOGLE) as made:
        yield made


@pytest.fixture(scope="module")
def client(old: Deployment) -> Iterator[MlflowClient]:
    """Return an MLflow client of the deployment."""
    with client_of(old) as made:
        yield made


@pytest.fixture(scope="module")
def data(old: Deployment, client: MlflowClient) -> Data:
    """Create more data before the first cutover that moves the traffic."""
    return make(old, client)


@pytest.fixture(scope="module")
def run_id(old: Deployment, client: MlflowClient, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Log a run with a metric and an artifact to the old version."""
    experiment = client.create_experiment("before")
    run = client.create_run(experiment).info.run_id
    client.log_metric(run, "accuracy", 0.75)
    note = tmp_path_factory.mktemp("artifact") / "note.txt"
    note.write_text("from 2.22")
    client.log_artifact(run, str(note))
    return str(run)


@pytest.fixture
def stays_old(old: Deployment, client: MlflowClient, run_id: str, tmp_path: Path) -> Iterator[Deployment]:
    """Assert after the test that the old version serves the old data and accepts a new run."""
    yield old
    now = status(old)
    assert now["phase"] == "idle"
    assert not now["held"]
    assert now["wanted"]["version"] == now["slots"][now["active"]]["version"] == OLD
    assert serving(old) == OLD
    assert client.get_run(run_id).data.metrics == {"accuracy": 0.75}
    assert Path(client.download_artifacts(run_id, "note.txt", str(tmp_path))).read_text() == "from 2.22"
    heads = json.loads(old.ssh(f"{PROGRAM} run-job schema heads"))
    assert all(each["database"] == each["code"] for each in heads.values()), heads
    client.log_metric(client.create_run("0").info.run_id, "still", 1)
    assert old.stored("release.json") is None


@contextmanager
def fault(deployment: Deployment, **what: Any) -> Iterator[None]:
    """Inject a fault into the requests of this project while the block runs."""
    deployment.administer("POST", "faults", json={"count": 1000, "path": f"*/projects/{deployment.project}/*", **what})
    try:
        yield
    finally:
        deployment.administer("DELETE", "faults")


def test_the_first_run_met_the_delays_of_google(old: Deployment) -> None:
    site = recorded(old, "site")
    assert site.refused(403), "every API was there as soon as it was enabled"
    assert site.agent_was_late(), "the service agent of Service Networking was there at once"
    assert site.seconds("CREATE mlflow-database") > GOOGLE["scale"] * 420
    runs = old.call("GET", "sql", f"v1/projects/{old.project}/instances/mlflow-database/backupRuns")["items"]
    assert [run["type"] for run in runs] == ["AUTOMATED"], "Cloud SQL made no backup of its own"


def test_a_control_host_killed_while_the_release_is_built(stays_old: Deployment) -> None:
    """The next run ends the running build on the VM and starts a new one."""
    run = Run(stays_old, "upgrade-killed-building", PLAYBOOK)
    try:
        # Ansible prints the name of a task when it ends. The next task builds the release.
        run.wait_for("TASK [mlops.mlflow_gcp.mlflow : Check whether the release is complete]")
        wait_for_pip = f"for i in $(seq 60); do pgrep --full '{BUILD}' && break; sleep 0.5; done"
        stays_old.ssh(wait_for_pip)
    finally:
        run.kill()
    watch_builds(stays_old)
    assert "-m pip install" in stays_old.ssh(f"pgrep --full --list-full '{BUILD}'")


def test_a_backup_that_fails(stays_old: Deployment) -> None:
    """The release is built once, although an orphaned worker of the killed run starts pip again."""
    with fault(stays_old, method="sql.backupRuns.insert", code=403, reason="notAuthorized"):
        output = upgrade(stays_old, "upgrade-backup", check=False)
    builds = watched_builds(stays_old)
    assert len(set().union(*builds)) > 1, builds
    assert max(map(len, builds)) == 1, builds
    assert 'failed at "Create the backup and wait for completion"' in output
    assert "notAuthorized" in output
    assert f"MLflow {OLD} is active with the same data as before" in output


def test_a_control_host_killed_during_the_switch(stays_old: Deployment) -> None:
    run = Run(stays_old, "upgrade-killed-during", PLAYBOOK)
    try:
        run.wait_for("TASK [mlops.mlflow_gcp.upgrade : Start the cutover]")
        deadline = time.monotonic() + 300
        while (phase := status(stays_old)["phase"]) not in {
            "hold",
            "drain",
            "stop",
            "copy",
            "migrate",
            "start",
            "check",
        }:
            assert time.monotonic() < deadline, phase
            time.sleep(0.2)
    finally:
        run.kill()
    # The VM continues without the control node until it waits for the approval, which does not arrive.
    stays_old.ssh(f"{PROGRAM} cutover wait --timeout 110", check=False)
    stays_old.ssh(f"{PROGRAM} cutover wait --timeout 110", check=False)
    result = status(stays_old)["result"]
    assert (result["ok"], result["step"]) == (False, "ready")
    assert "no approval from the control node" in result["cause"]


@contextmanager
def planted(deployment: Deployment, code: str) -> Iterator[None]:
    """Make each Python process of the new release run this code. Earlier tests have built the release."""
    release = f"$(dirname /opt/mlflow/releases/{NEW}-*/.complete)"
    place = deployment.ssh(f"sudo sh -c 'ls -d {release}/lib/python3*/site-packages'").strip()
    deployment.ssh(f"sudo tee {place}/planted.py", given=code)
    deployment.ssh(f"sudo tee {place}/planted.pth", given="import planted\n")
    try:
        yield
    finally:
        deployment.ssh(f"sudo rm {place}/planted.pth {place}/planted.py")


def test_a_release_that_crashes_when_it_gets_the_traffic(
    stays_old: Deployment, client: MlflowClient, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The VM rolls back automatically. This run fails with the cause. The next run does not try the release again."""
    monkeypatch.setitem(stays_old.settings, "upgrade_watch_seconds", 60)
    with planted(stays_old, crash(after=5)):
        output = upgrade(stays_old, "upgrade-crash", check=False)
    for part in (
        f"The upgrade from MLflow {OLD} to {NEW} failed at",
        "cutover, watch",
        "the new server crashed",
        f"MLflow {OLD} is active with the data from before the cutover",
        "The server did not answer for",
        "upgrade_again=true",
    ):
        assert part in output, output[-3000:]
    assert data.differences(stays_old, client) == {}
    assert status(stays_old)["rolled_back"]["version"] == NEW
    output = upgrade(stays_old, "upgrade-stays")
    assert f"MLflow {OLD} is deployed" in words(output)
    assert "upgrade_again=true" in output
    assert set(changes(output).values()) == {0}


def test_the_upgrade_under_load(old: Deployment, client: MlflowClient, run_id: str, data: Data, tmp_path: Path) -> None:
    """The upgrade succeeds after all failures, and concurrent clients lose no data."""
    user, password = old.admin
    target = Target(url=old.url, ca=old.ca, password=password, username=user)
    with background("load", target, 900, "--clients", "3") as load, background("probe", target, 900) as probe:
        # The release was rolled back before.
        output = upgrade(old, "upgrade", "-e", "upgrade_again=true")
        clients, outside = load.report(), probe.report()
    assert (clients["lost"], clients["wrong"], clients["twice"]) == (0, [], 0), clients
    assert clients["calls"] > 100
    assert serving(old) == NEW
    said = re.search(r"Downtime:\s+([\d.]+) s measured", output)
    assert said, output[-3000:]
    (old.artifacts / "upgrade.json").write_text(json.dumps({"clients": clients, "probe": outside, "said": said[1]}))
    assert float(said[1]) == pytest.approx(outside["away_seconds"], abs=TOLERANCE), outside
    assert f"{OLD} → {NEW}" in output
    assert "playbooks/rollback.yml" in output
    assert data.differences(old, client) == {}
    assert client.get_run(run_id).data.metrics == {"accuracy": 0.75}
    assert Path(client.download_artifacts(run_id, "note.txt", str(tmp_path))).read_text() == "from 2.22"
    kept = old.stored("release.json") or {}
    assert kept["version"] == NEW
    assert f"mlflow=={NEW} " in kept["requirements"]
    backups = old.call("GET", "sql", f"v1/projects/{old.project}/instances/mlflow-database/backupRuns")["items"]
    (backup,) = [each for each in backups if each.get("description", "") and each["description"] in output]
    assert backup["status"] == "SUCCESSFUL"
    assert backup["description"].startswith(f"mlflow upgrade {OLD} to {NEW}, schema ")


def test_without_a_newer_release_nothing_changes(old: Deployment) -> None:
    output = upgrade(old, "upgrade-nothing")
    assert f"MLflow {NEW} is deployed" in output
    assert set(changes(output).values()) == {0}


def test_the_site_keeps_the_upgraded_release(old: Deployment) -> None:
    """A channel treats mlflow_version as a minimum. The user's file still contains the old version."""
    inventory = old.artifacts / "inventory"
    (inventory / "group_vars").mkdir(parents=True, exist_ok=True)
    shutil.copy(REPO / "inventory" / "mlflow" / "mlflow.gcp.yml", inventory)
    settings = {"mlflow_version": OLD, "mlflow_requirements_file": str(LOCK), "upgrade_channel": "latest"}
    (inventory / "group_vars" / "all.yml").write_text(yaml.safe_dump(settings))
    output = old.playbook("playbooks/configure.yml", "-i", str(inventory), log="configure").stdout
    assert serving(old) == NEW
    assert changes(output)["mlflow-server"] == 0


def test_a_rollback_reports_lost_data_and_requires_a_confirmation(
    old: Deployment, client: MlflowClient, run_id: str, data: Data
) -> None:
    later = client.create_run("0").info.run_id
    asked = old.playbook("playbooks/rollback.yml", check=False, log="rollback-asked")
    assert asked.returncode != 0
    assert f"upgrade_rollback_confirm={old.project}/mlflow" in asked.stdout
    assert serving(old) == NEW

    confirm = ["-e", f"upgrade_rollback_confirm={old.project}/mlflow"]
    output = old.playbook("playbooks/rollback.yml", *confirm, log="rollback").stdout
    lost = re.search(r"runs: (\d+) now, (\d+) then \(\+(\d+)\)", output)
    assert lost, output[-3000:]
    assert int(lost[1]) - int(lost[2]) == int(lost[3]) > 0
    assert serving(old) == OLD
    assert client.get_run(run_id).data.metrics == {"accuracy": 0.75}
    assert data.differences(old, client) == {}
    with pytest.raises(Exception, match="not found"):
        client.get_run(later)
    # The VM and the deployment have a record. test_a_release_that_crashes_when_it_gets_the_traffic shows its effect.
    assert status(old)["rolled_back"]["version"] == NEW
    assert (old.stored("release.json") or {})["rolled_back_from"] == NEW


@pytest.fixture(scope="module")
def control(old: Deployment) -> Iterator[ControlHost]:
    with control_host(old) as machine:
        machine.run("systemctl", "is-system-running", "--wait", check=False)
        yield machine


def test_the_timer_upgrades_and_a_second_start_is_refused(old: Deployment, control: ControlHost) -> None:
    """Install a timer for every minute on a separate control node with systemd and this checkout."""
    unit = f"mlflow-upgrade-{old.project}-mlflow"
    schedule = {
        "schedule_calendar": "*:*:00",
        "schedule_jitter": "1s",
        "schedule_failure_command": f"echo failed >{old.artifacts}/hook",
        "schedule_arguments": ["-e", json.dumps(old.settings | {"upgrade_again": True, "upgrade_rehearse": True})],
    }
    install = ["ansible-playbook", "playbooks/schedule_upgrade.yml", "-e", json.dumps(old.settings | schedule)]
    control.run(*install)
    deadline = time.monotonic() + 120
    while control.show(f"{unit}.service", "ActiveState") != "activating" or not old.stored("lock"):
        assert time.monotonic() < deadline, control.run("systemctl", "list-timers", "--all")
        time.sleep(0.5)

    refused = upgrade(old, "upgrade-overlapping", check=False)
    assert re.search(r"Another run works on \S+: process \d+ of root .*started at \S+ by systemd", refused)
    done = old.playbook("playbooks/backup.yml", check=False, log="backup-overlapping")
    assert done.returncode != 0
    assert "Another run works on" in done.stdout, done.stdout[-3000:]

    # The next scheduled times pass meanwhile. A later run would find no newer release and not upgrade again.
    control.run(*install, "-e", "schedule_calendar='*-01-01 03:00'")
    deadline = time.monotonic() + 900
    while control.show(f"{unit}.service", "ActiveState") not in {"inactive", "failed"}:
        assert time.monotonic() < deadline
        time.sleep(2)
    # The journal may not contain the last lines of the unit yet.
    control.run("journalctl", "--sync")
    journal = control.run("journalctl", "--unit", f"{unit}.service", "--output", "cat", "--no-pager")
    (old.artifacts / "timer.log").write_text(journal)
    assert control.show(f"{unit}.service", "Result") == "success", journal[-3000:]
    assert f"{OLD} → {NEW}" in journal
    assert re.search(r"Rehearsal: migrated in [\d.]+ s", journal)
    assert serving(old) == NEW
    assert not (old.artifacts / "hook").exists()


def test_a_destroyed_deployment_is_built_again_under_its_name(old: Deployment) -> None:
    """The private services connection outlives the instance: Google's producers keep it in use for days."""
    old.administer("DELETE", "calls")
    destroy(old)
    destroyed = [call["method"] for call in calls(old)]
    assert "compute.networks.removePeering" in destroyed
    begun = time.time()
    old.playbook("playbooks/provision.yml", log="provision-again")
    record(old, "again", begun)
    instance = old.call("GET", "sql", f"v1/projects/{old.project}/instances/mlflow-database")
    assert instance["state"] == "RUNNABLE"
    assert recorded(old, "again").seconds("CREATE mlflow-database") > GOOGLE["scale"] * 420
