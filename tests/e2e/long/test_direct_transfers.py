# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""MLflow clients transfer large artifacts directly from and to the bucket, with a server on a VM.

The clients reach storage.googleapis.com of the local cloud through a proxy. tests/unit/mlflowctl has the requests of
signed URLs in detail. The tests run in this order: the last ones replace the data.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from localcloud.engine.nft_network import PORTS
from tests.e2e.deployment import REPO, Deployment
from tests.e2e.mlflow_clients import MIB, OLD, environment_of, make_file, md5_of, python_of, run_client
from tests.e2e.test_doctor import run_doctor
from tests.support.tunnel import tunnel

GOOGLE = "storage.googleapis.com"
SIZE = 24 * MIB
"""Three parts of the client's default size."""
# Bytes. The requests for the URLs, the metrics of the VM and the connections of the test.
SMALL = 4 * MIB
LOW = {
    "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(20 * MIB),
    "MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE": str(10 * MIB),
}
# MLflow 2.22 uploads directly only with this variable, and has no direct downloads.
CLIENTS = {"newest": LOW, OLD: LOW | {"MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true"}}
DOWNLOADS_DIRECTLY = {"newest"}
BOTH = pytest.mark.parametrize("release", CLIENTS)

# Log a file, to a new run if none is given.
LOG = """
import json, sys
from mlflow.tracking import MlflowClient
path, run = sys.argv[1:]
client = MlflowClient()
if not run:
    found = client.get_experiment_by_name("direct")
    run = client.create_run(found.experiment_id if found else client.create_experiment("direct")).info.run_id
client.log_artifact(run, path)
print("\\n" + json.dumps({"run": run, "root": client.get_run(run).info.artifact_uri}))
"""
LOAD = """
import json, sys
from mlflow.tracking import MlflowClient
run, name, folder = sys.argv[1:]
print("\\n" + json.dumps({"path": MlflowClient().download_artifacts(run, name, folder)}))
"""
LOG_MODEL = """
import json, sys
import mlflow

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str]) -> list[str]:
        return [str(len(open(context.artifacts["weights"], "rb").read()))]

mlflow.set_experiment("models")
with mlflow.start_run():
    options = {"artifacts": {"weights": sys.argv[1]}, "pip_requirements": [], "registered_model_name": "large"}
    mlflow.pyfunc.log_model(name="model", python_model=Model(), **options)
print("\\n" + json.dumps({}))
"""
LOAD_MODEL = """
import json
import mlflow
print("\\n" + json.dumps({"size": mlflow.pyfunc.load_model("models:/large/1").predict(["x"])[0]}))
"""
ON_THE_VM = (
    *("sudo", "systemd-run", "--wait", "--pipe", "--collect", "--quiet", "--property=User=mlflow"),
    *("/opt/mlflow/current/bin/python", "-I", "-c"),
)
# MLflow's own repository, without this collection's package.
PLAIN = """
import base64, hashlib, sys, tempfile
from mlflow.store.artifact.gcs_artifact_repo import GCSArtifactRepository
bucket, root, name = sys.argv[1:]
with tempfile.TemporaryDirectory() as folder:
    path = GCSArtifactRepository(f"gs://{bucket}/{root}").download_artifacts(name, folder)
    print(base64.b64encode(hashlib.md5(open(path, "rb").read()).digest()).decode())
"""


@dataclass
class Network:
    """The way of the clients to storage.googleapis.com."""

    environment: dict[str, str] = field(default_factory=dict)
    """Variables of a client."""
    open: threading.Event = field(default_factory=threading.Event)
    """New connections wait until it is set."""
    connections: int = 0
    """The number of connections to all names."""


@pytest.fixture(scope="module")
def site(local_cloud: None) -> Iterator[Deployment]:
    """Yield a deployment with direct transfers. A user has no permission on the experiments of others."""
    project = f"mlflow-e2e-{uuid.uuid4().hex[:8]}"
    made = Deployment(project=project, artifacts=REPO / "artifacts" / "e2e" / project, settings={})
    made.create_project()
    made.settings |= {
        "infrastructure_subnetwork_range": "10.172.0.0/20",
        "infrastructure_database_deletion_protection": False,
        "mlflow_default_permission": "NO_PERMISSIONS",
        "mlflow_direct_transfers": True,
        "mlflow_direct_transfer_minimum_bytes": 20 * MIB,
        "mlflow_users": [{"name": "alice"}],
    }
    made.playbook("site.yml", log="site")
    yield made
    confirm = f"infrastructure_destroy_confirm={project}/mlflow"
    made.playbook("playbooks/destroy.yml", "-e", confirm, "-e", "infrastructure_destroy_data=true", log="destroy")


@contextmanager
def proxy(site: Deployment, *, first: int | None = None) -> Iterator[Network]:
    """Run a proxy for the clients. After the `first` connections, the next ones wait until the network is open."""

    made = Network()

    def find(name: str) -> tuple[str, int] | None:
        made.connections += 1
        if first is not None and made.connections > first:
            made.open.wait(300)
        return (PORTS.host, PORTS.api) if name == GOOGLE else None

    with tunnel(find) as url:
        ca = Path(site.environment["MLFLOW_LOCALCLOUD_HOME"]) / "ca" / "ca.crt"
        made.environment |= {"HTTPS_PROXY": url, "NO_PROXY": site.address, "REQUESTS_CA_BUNDLE": str(ca)}
        try:
            yield made
        finally:
            made.open.set()


@pytest.fixture(scope="module")
def network(site: Deployment) -> Iterator[Network]:
    """Yield the proxy that most clients use."""
    with proxy(site) as running:
        yield running


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    make_file(path, SIZE)
    return path


# Operations


@dataclass(frozen=True)
class Logged:
    """A logged file."""

    run: str
    root: str
    """The path of the run's artifacts in the bucket."""
    name: str
    md5: str


def log(site: Deployment, release: str, path: Path, environment: dict[str, str], run: str = "") -> Logged:
    """Log a file; return it after a comparison of the object with the file."""
    done = run_client(site, release, LOG, str(path), run, settings=CLIENTS[release] | environment)
    logged = Logged(done["run"], done["root"].removeprefix("mlflow-artifacts:/"), path.name, md5_of(path))
    assert objects(site, logged.run)[f"{logged.root}/{path.name}"] == path.stat().st_size
    return logged


def load(site: Deployment, release: str, logged: Logged, folder: Path, environment: dict[str, str]) -> None:
    """Download a file and compare it."""
    target = folder / f"{release}-{time.time_ns()}"
    target.mkdir()
    arguments = (logged.run, logged.name, str(target))
    done = run_client(site, release, LOAD, *arguments, settings=CLIENTS[release] | environment)
    assert md5_of(Path(done["path"])) == logged.md5


def objects(site: Deployment, run: str) -> dict[str, int]:
    """Return the names and the sizes of the objects of a run."""
    listed = site.call("GET", "storage", f"b/{site.project}-mlflow-artifacts/o").get("items", [])
    return {each["name"]: int(each["size"]) for each in listed if f"/{run}/" in each["name"]}


def network_bytes(site: Deployment) -> int:
    """Return the number of bytes that the VM has received and sent."""
    rows = [line.split() for line in site.ssh("cat /proc/net/dev").splitlines()[2:]]
    return sum(int(row[1]) + int(row[9]) for row in rows if row[0] != "lo:")


@contextmanager
def past_the_vm(site: Deployment) -> Iterator[None]:
    """Assert that the artifacts of the block do not pass the VM."""
    before = network_bytes(site)
    yield
    assert network_bytes(site) - before < SMALL


@contextmanager
def through_the_vm(site: Deployment, size: int = SIZE) -> Iterator[None]:
    """Assert that an artifact of the block passes the VM: to the VM and from the VM."""
    before = network_bytes(site)
    yield
    assert network_bytes(site) - before > 2 * size


def change(site: Deployment, *, direct: bool) -> None:
    """Run site.yml with or without direct transfers."""
    site.settings["mlflow_direct_transfers"] = direct
    site.playbook("site.yml", log=f"site-direct-{direct}")


def signed_urls(site: Deployment) -> dict[str, Any]:
    """Return the result of the doctor's check."""
    return run_doctor(site, skip=["run", "artifact", "drift", "advisories"])[1]["signed-urls"]


# Transfers


def test_the_doctor_finds_that_the_vm_signs(site: Deployment) -> None:
    found = signed_urls(site)
    assert (found["state"], found["value"]) == ("ok", "the IAM Credentials API signs for the VM")


@BOTH
def test_a_large_file_does_not_pass_the_vm(
    site: Deployment, network: Network, release: str, file: Path, tmp_path: Path
) -> None:
    before = network.connections
    with past_the_vm(site):
        logged = log(site, release, file, network.environment)
    assert network.connections - before == 3
    way = past_the_vm if release in DOWNLOADS_DIRECTLY else through_the_vm
    with way(site):
        load(site, release, logged, tmp_path, network.environment)


def test_a_registered_model_does_not_pass_the_vm(site: Deployment, network: Network, file: Path) -> None:
    with past_the_vm(site):
        run_client(site, "newest", LOG_MODEL, str(file), settings=LOW | network.environment)
        loaded = run_client(site, "newest", LOAD_MODEL, settings=LOW | network.environment)
    assert loaded["size"] == str(SIZE)


def test_a_file_of_600_mb_with_default_settings(site: Deployment, network: Network, tmp_path: Path) -> None:
    path = tmp_path / "600.bin"
    make_file(path, 600 * MIB)
    with past_the_vm(site):
        done = run_client(site, "newest", LOG, str(path), "", settings=network.environment)
        target = str(tmp_path / "loaded")
        Path(target).mkdir()
        loaded = run_client(site, "newest", LOAD, done["run"], path.name, target, settings=network.environment)
    assert md5_of(Path(loaded["path"])) == md5_of(path)


def test_a_small_file_passes_the_vm(site: Deployment, network: Network, tmp_path: Path) -> None:
    path = tmp_path / "small.bin"
    make_file(path, 10 * MIB)
    before = network.connections
    with through_the_vm(site, 10 * MIB):
        logged = log(site, "newest", path, network.environment)
    load(site, "newest", logged, tmp_path, network.environment)
    assert network.connections == before


def test_a_user_without_permission_gets_no_url(site: Deployment, network: Network, file: Path, tmp_path: Path) -> None:
    logged = log(site, "newest", file, network.environment)
    api = f"{site.url}/api/2.0/mlflow-artifacts"
    requested = [
        ("GET", f"presigned/{logged.root}/{logged.name}", None),
        ("POST", f"mpu/create/{logged.root}", {"path": logged.name, "num_parts": 1}),
    ]
    for user, status in ((("alice", site.secret("mlflow-user-alice")), 403), (site.admin, 200)):
        for method, path, body in requested:
            answer = requests.request(method, f"{api}/{path}", json=body, auth=user, verify=str(site.ca), timeout=60)
            assert (answer.status_code, "X-Goog-Signature" in answer.text) == (status, status == 200), (user[0], path)


def test_a_killed_client_leaves_no_object_and_can_log_again(
    site: Deployment, network: Network, file: Path, tmp_path: Path
) -> None:
    run = log(site, "newest", small(tmp_path), network.environment).run
    with proxy(site, first=1) as slow:
        mark = site.administer("GET", "calls/mark")["mark"]
        killed = subprocess.Popen(
            [python_of("newest"), "-c", LOG, str(file), run],
            env=environment_of(site, LOW | slow.environment),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 120
            while not parts(site, run, mark):
                assert killed.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
        finally:
            killed.kill()
            killed.wait()
        assert [name.rpartition("/")[2] for name in objects(site, run)] == ["small.txt"]
    logged = log(site, "newest", file, network.environment, run)
    load(site, "newest", logged, tmp_path, network.environment)


def small(folder: Path) -> Path:
    path = folder / "small.txt"
    path.write_text("small")
    return path


def parts(site: Deployment, run: str, mark: int) -> list[dict[str, Any]]:
    """Return the completed uploads of parts after a mark in the log of calls."""
    calls = site.administer("GET", "calls", params={"since": mark})["calls"]
    return [call for call in calls if call["verb"] == "PUT" and f"/{run}/" in call["path"] and call["status"] == 200]


# Without signatures and without access


def test_without_signatures_the_server_transfers(
    site: Deployment, network: Network, file: Path, tmp_path: Path
) -> None:
    """The IAM Credentials API fails. After its recovery and the pause, transfers are direct again."""
    away = {"method": "iamcredentials.*", "path": f"*{site.project}*", "count": 1000, "code": 503}
    site.administer("POST", "faults", json=away)
    try:
        with through_the_vm(site):
            logged = log(site, "newest", file, network.environment)
        with through_the_vm(site):
            load(site, "newest", logged, tmp_path, network.environment)
        found = signed_urls(site)
        assert found["state"] == "warn"
        assert re.search(
            "the server streams all artifacts, the IAM Credentials API does not sign: .*503", found["value"]
        )
        assert "mlflow_direct_transfers: false" in found["remedy"]
        journal = site.ssh("sudo journalctl --quiet --no-pager -u 'mlflow@*' --grep 'Cannot sign URLs'")
        assert "503" in journal
    finally:
        site.administer("DELETE", "faults")
    time.sleep(61)
    with past_the_vm(site):
        load(site, "newest", logged, tmp_path, network.environment)


@pytest.fixture
def closed(network: Network) -> Iterator[dict[str, str]]:
    """Yield the variables of a client whose proxy refuses storage.googleapis.com."""
    with tunnel(lambda _name: None) as url:
        # By default, the client repeats a download seven times. Each attempt takes a minute.
        yield network.environment | {"HTTPS_PROXY": url, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


def failure(site: Deployment, release: str, program: str, *arguments: str, settings: dict[str, str]) -> str:
    """Run a client that fails; return its error."""
    done = subprocess.run(
        [python_of(release), "-c", program, *arguments],
        env=environment_of(site, CLIENTS[release] | settings),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode != 0
    return done.stderr


@BOTH
def test_an_upload_behind_a_firewall(
    site: Deployment, network: Network, closed: dict[str, str], release: str, file: Path, tmp_path: Path
) -> None:
    """The error names the variables, and the variable of the client helps."""
    run = log(site, "newest", small(tmp_path), network.environment).run
    error = failure(site, release, LOG, str(file), run, settings=closed)
    assert "set MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD=false on the client" in error, error[-3000:]
    assert "mlflow_direct_transfers: false" in error
    assert len(objects(site, run)) == 1
    log(site, release, file, closed | {"MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false"}, run)


def test_a_download_behind_a_firewall(
    site: Deployment, network: Network, closed: dict[str, str], file: Path, tmp_path: Path
) -> None:
    """The messages are those in docs/operations/large-artifacts.md, and the variable of the client helps."""
    logged = log(site, "newest", file, network.environment)
    error = failure(site, "newest", LOAD, logged.run, logged.name, str(tmp_path), settings=closed)
    assert "Retrying 3 failed chunk(s) for large.bin" in error, error[-3000:]
    assert "Failed to download artifacts from path 'large.bin', please ensure that the path is correct" in error
    load(site, "newest", logged, tmp_path, closed | {"MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false"})


# Changes of the deployment


def test_runs_stay_readable_with_and_without_direct_transfers(
    site: Deployment, network: Network, file: Path, tmp_path: Path
) -> None:
    direct = log(site, "newest", file, network.environment)
    change(site, direct=False)
    with through_the_vm(site):
        streamed = log(site, "newest", file, network.environment)
    for release in CLIENTS:
        load(site, release, direct, tmp_path, network.environment)
    for logged in (direct, streamed):
        arguments = [f"{site.project}-mlflow-artifacts", logged.root, logged.name]
        assert site.ssh(shlex.join([*ON_THE_VM, PLAIN, *arguments])).split()[-1:] == [logged.md5]
    change(site, direct=True)
    with past_the_vm(site):
        load(site, "newest", streamed, tmp_path, network.environment)
    load(site, OLD, streamed, tmp_path, network.environment)


def test_no_log_of_the_vm_has_a_signed_url(site: Deployment) -> None:
    text = site.ssh("sudo sh -c 'journalctl --quiet --no-pager; cat /var/log/nginx/*.log'")
    assert "/mpu/create/" in text
    assert "X-Goog-" not in text


def test_a_restore_keeps_a_directly_uploaded_file(
    site: Deployment, network: Network, file: Path, tmp_path: Path
) -> None:
    """Such an object has no MD5 hash."""
    logged = log(site, "newest", file, network.environment)
    site.playbook("playbooks/backup.yml", log="backup")
    artifact = f"{site.url}/api/2.0/mlflow-artifacts/artifacts/{logged.root}/{logged.name}"
    assert requests.delete(artifact, auth=site.admin, verify=str(site.ca), timeout=60).ok
    assert objects(site, logged.run) == {}
    confirm = f"backup_restore_confirm={site.project}/mlflow"
    site.playbook("playbooks/restore.yml", "-e", confirm, "-e", "backup_restore_backup_first=false", log="restore")
    with past_the_vm(site):
        load(site, "newest", logged, tmp_path, network.environment)
