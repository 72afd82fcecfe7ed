# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Compare the speed of MLflow's artifacts with the speed of Google's client library.

    .venv/bin/python -m benchmarks artifact-transfers --write

Creates a deployment with direct transfers on the running local cloud, and removes it at the end. In each round a large
file is uploaded and downloaded in three ways, one after the other: straight to the bucket with google-cloud-storage, by
MLflow's client with signed URLs, and by MLflow's client through the server. All clients use the same proxy, because
Google's names lead to the local cloud only there. Each client is a process of its own, and measures only the transfer.
`--write` replaces the section of this benchmark in benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.results import RESULTS, conditions, ratios, spread, table, write
from localcloud.engine.nft_network import PORTS
from tests.e2e.deployment import REPO, Deployment
from tests.e2e.mlflow_clients import environment_of
from tests.support.tunnel import Address, tunnel

TITLE = "Large artifacts"
MEGABYTE = 1_000_000
THROUGH_THE_SERVER = {
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
}
DIRECTLY = {"MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": "1"}
BUCKET = "google-cloud-storage, straight to the bucket"
WAYS = {
    BUCKET: None,
    "MLflow, directly": DIRECTLY,
    "MLflow, through the server": THROUGH_THE_SERVER,
}
"""The variables of MLflow's client; None for Google's library."""

# Transfer a small file, so that imports and connections are not measured. Then transfer the large file.
MLFLOW = """
import sys, time
from pathlib import Path
from mlflow.tracking import MlflowClient
path, folder = map(Path, sys.argv[1:3])
client = MlflowClient()
run = client.create_run("0").info.run_id
small = folder / "small"
small.write_bytes(b"small")
client.log_artifact(run, str(small))
begin = time.monotonic()
client.log_artifact(run, str(path))
middle = time.monotonic()
loaded = client.download_artifacts(run, path.name, str(folder))
end = time.monotonic()
assert Path(loaded).read_bytes() == path.read_bytes()
client.delete_run(run)
print(middle - begin, end - middle)
"""
GOOGLE = """
import sys, time
from pathlib import Path
from google.cloud import storage
path, folder = map(Path, sys.argv[1:3])
bucket = storage.Client(project=sys.argv[4]).bucket(sys.argv[3])
bucket.blob("small").upload_from_string(b"small")
blob = bucket.blob(path.name)
begin = time.monotonic()
blob.upload_from_filename(str(path))
middle = time.monotonic()
blob.download_to_filename(str(folder / path.name))
end = time.monotonic()
assert (folder / path.name).read_bytes() == path.read_bytes()
blob.delete()
print(middle - begin, end - middle)
"""


@contextmanager
def deployed() -> Iterator[Deployment]:
    """Yield a deployment in a project of its own; remove it at the end."""
    project = f"mlflow-bench-{uuid.uuid4().hex[:8]}"
    settings = {
        "infrastructure_subnetwork_range": "10.174.0.0/20",
        "infrastructure_database_deletion_protection": False,
        "mlflow_direct_transfers": True,
        "mlflow_direct_transfer_minimum_bytes": MEGABYTE,
    }
    made = Deployment(project=project, artifacts=REPO / "artifacts" / "bench" / project, settings=settings)
    made.create_project()
    try:
        made.playbook("site.yml", log="site")
        yield made
    finally:
        confirm = f"infrastructure_destroy_confirm={project}/mlflow"
        made.playbook("playbooks/destroy.yml", "-e", confirm, "-e", "infrastructure_destroy_data=true", log="destroy")


def serve(addresses: dict[str, Address], pipe: Connection) -> None:
    """Run the proxy and send its URL, until the other end of the pipe is closed."""
    with tunnel(addresses.get) as url:
        pipe.send(url)
        pipe.poll(None)


@contextmanager
def proxy(addresses: dict[str, Address]) -> Iterator[str]:
    """Run the proxy in a process of its own, so that it does not share an interpreter with the clients."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(addresses, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def transfer(site: Deployment, url: str, path: Path, variables: dict[str, str] | None) -> tuple[float, float]:
    """Return the speeds in MB/s of an upload and a download."""
    ca = Path(site.environment["MLFLOW_LOCALCLOUD_HOME"]) / "ca" / "ca.crt"
    environment = environment_of(site, {"HTTPS_PROXY": url, "REQUESTS_CA_BUNDLE": str(ca)} | (variables or {}))
    # The endpoint of Google's library without TLS.
    del environment["STORAGE_EMULATOR_HOST"]
    program = GOOGLE if variables is None else MLFLOW
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", program, str(path), folder, f"{site.project}-mlflow-artifacts", site.project]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
    if done.returncode:
        raise SystemExit(f"error: a client failed: {done.stderr[-3000:]}")
    size = path.stat().st_size / MEGABYTE
    up, down = (size / float(seconds) for seconds in done.stdout.split()[-2:])
    return up, down


def measure(site: Deployment, megabytes: int, rounds: int) -> str:
    """Return the results as Markdown."""
    speeds: dict[str, list[tuple[float, float]]] = defaultdict(list)
    addresses = {site.address: (site.address, 443), "storage.googleapis.com": (PORTS.host, PORTS.api)}
    with tempfile.TemporaryDirectory() as folder, proxy(addresses) as url:
        path = Path(folder) / "artifact.bin"
        path.write_bytes(os.urandom(megabytes * MEGABYTE))
        for number in range(rounds):
            names = list(WAYS)
            for name in names[number % len(names) :] + names[: number % len(names)]:
                speeds[name].append(transfer(site, url, path, WAYS[name]))
    rows = []
    for name, pairs in speeds.items():
        cells = []
        for one, other in zip(zip(*pairs, strict=True), zip(*speeds[BUCKET], strict=True), strict=True):
            cells += [spread(one, 0), "1" if name == BUCKET else spread(ratios(one, other), 2)]
        rows.append((name, *cells))
    ratio = "ratio to the bucket, by round"
    begin = f"{rounds} rounds with a file of {megabytes} MB. Minimum / median / maximum."
    return "\n".join(
        (
            f"{begin} {conditions('artifact-transfers')}",
            "",
            table(("Client", "upload, MB/s", ratio, "download, MB/s", ratio), rows),
        )
    )


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description="Compare the speed of artifacts with Google's client library")
    parser.add_argument("--megabytes", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true", help=f"write the results to {RESULTS.name}")
    options = parser.parse_args()
    with deployed() as site:
        text = measure(site, options.megabytes, options.rounds)
    print(text)
    if options.write:
        write(RESULTS, TITLE, text)
    return 0
