# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Run real MLflow clients that log, search and upload until a deadline, and count every call.

    MLFLOW_TRACKING_USERNAME=… MLFLOW_TRACKING_PASSWORD=… MLFLOW_TRACKING_SERVER_CERT_PATH=ca.crt \\
      python -m tests.support.load --url https://… --clients 4 --seconds 60

The clients use MLflow's default retries. A call that fails after all retries is lost. At the end every run that the
server accepted is verified. Prints a report as JSON; SIGTERM ends the program early.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

Answer = TypeVar("Answer")
METRICS, PARAMETERS = 10, 5
CHECKED_ARTIFACTS = 40


class LostCallError(Exception):
    """A call failed after all retries of the client. The remaining calls of the run are skipped."""


@dataclass
class Record:
    """Calls of all clients."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)
    runs: dict[str, bytes] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, operation: str, call: Callable[[], Answer]) -> Answer:
        """Make a call; record its duration and its error."""
        started = time.monotonic()
        try:
            answer = call()
        except Exception as error:
            text = f"{type(error).__name__}: {error}"[:500]
            with self.lock:
                self.failures.append({"operation": operation, "at": time.time(), "error": text})
            raise LostCallError(text) from error
        finally:
            with self.lock:
                self.seconds.setdefault(operation, []).append(time.monotonic() - started)
        return answer


def one_run(client: MlflowClient, experiment: str, record: Record, directory: Path) -> None:
    """Make the calls of a small training."""
    run = record.call("create_run", lambda: client.create_run(experiment, run_name="load")).info.run_id
    content = os.urandom(4096)
    now = int(time.time() * 1000)
    metrics = [Metric(f"metric_{n}", float(n), now, 0) for n in range(METRICS)]
    parameters = [Param(f"parameter_{n}", str(n)) for n in range(PARAMETERS)]
    record.call("log_param", lambda: client.log_param(run, "alone", "x"))
    record.call("log_metric", lambda: client.log_metric(run, "alone", 1.0))
    record.call("log_batch", lambda: client.log_batch(run, metrics, parameters, [RunTag("load", "yes")]))
    record.call("search_runs", lambda: client.search_runs([experiment], "params.alone = 'x'", max_results=5))
    path = directory / "artifact.bin"
    path.write_bytes(content)
    record.call("upload", lambda: client.log_artifact(run, str(path)))
    back = Path(record.call("download", lambda: client.download_artifacts(run, path.name, str(directory / "back"))))
    if back.read_bytes() != content:
        record.failures.append({"operation": "download", "at": time.time(), "error": "content differs from the upload"})
    back.unlink()
    record.call("set_terminated", lambda: client.set_terminated(run))
    with record.lock:
        record.runs[run] = content


def work(client: MlflowClient, experiment: str, record: Record, stop: threading.Event, pause: float) -> None:
    """Make one run after the other until `stop` is set."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "back").mkdir()
        while not stop.wait(pause):
            with contextlib.suppress(LostCallError):
                one_run(client, experiment, record, Path(name))


def wait(stop: threading.Event, seconds: float) -> None:
    """Wait until `stop` is set, for this many seconds at most.

    Waits in short steps. Python handles signals in the main thread, and a signal that another thread receives does not
    wake the main thread.
    """
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and not stop.wait(min(left, 0.5)):
        pass


def all_runs(client: MlflowClient, experiment: str) -> Iterator[Any]:
    """Yield every run of the experiment."""
    token = None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def verify(client: MlflowClient, experiment: str, record: Record) -> dict[str, Any]:
    """Verify every accepted run. `twice` is the number of runs that a retried call created again."""
    found = {run.info.run_id: run for run in all_runs(client, experiment)}
    wrong = []
    for run_id in record.runs:
        run = found.get(run_id)
        if run is None:
            wrong.append(f"{run_id} is missing")
        elif (
            len(run.data.params) != PARAMETERS + 1
            or len(run.data.metrics) != METRICS + 1
            or run.data.tags.get("load") != "yes"
            or run.info.status != "FINISHED"
        ):
            wrong.append(f"{run_id} is incomplete: {run.to_dictionary()}"[:500])
    with tempfile.TemporaryDirectory() as name:
        # Missing runs are reported above.
        there = [run_id for run_id in record.runs if run_id in found]
        for run_id in there[:: max(1, len(there) // CHECKED_ARTIFACTS)]:
            if Path(client.download_artifacts(run_id, "artifact.bin", name)).read_bytes() != record.runs[run_id]:
                wrong.append(f"{run_id} has a different artifact")
    created = len(record.seconds.get("create_run", []))
    created -= sum(failure["operation"] == "create_run" for failure in record.failures)
    return {"runs": len(record.runs), "wrong": wrong, "twice": len(found) - created}


def report(record: Record, checked: dict[str, Any], elapsed: float) -> dict[str, Any]:
    """Return the report."""
    operations = {
        name: {
            "calls": len(taken),
            "median_seconds": round(statistics.median(taken), 4),
            "max_seconds": round(max(taken), 3),
        }
        for name, taken in record.seconds.items()
    }
    return {
        "calls": sum(len(taken) for taken in record.seconds.values()),
        "lost": len(record.failures),
        "failures": record.failures[:20],
        "seconds": round(elapsed, 1),
        "operations": operations,
        **checked,
    }


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description="Real MLflow clients that log, search and upload")
    parser.add_argument("--url", required=True)
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--seconds", type=float, required=True, help="stop after this many seconds")
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between two runs of a client")
    parser.add_argument("--experiment", default="load")
    options = parser.parse_args()
    # Hide the warning that urllib3 logs for each retry.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    mlflow.set_tracking_uri(options.url)
    client, record, stop = MlflowClient(), Record(), threading.Event()
    known = client.get_experiment_by_name(options.experiment)
    experiment = known.experiment_id if known else client.create_experiment(options.experiment)
    earlier = sum(1 for _ in all_runs(client, experiment))
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    started = time.monotonic()
    clients = [
        threading.Thread(target=work, args=(MlflowClient(), experiment, record, stop, options.pause), daemon=True)
        for _ in range(options.clients)
    ]
    for thread in clients:
        thread.start()
    print("started", file=sys.stderr, flush=True)
    wait(stop, options.seconds)
    stop.set()
    for thread in clients:
        thread.join()
    elapsed = time.monotonic() - started
    checked = verify(client, experiment, record)
    checked["twice"] -= earlier
    print(json.dumps(report(record, checked, elapsed)))
    return 1 if record.failures or checked["wrong"] or checked["twice"] else 0


if __name__ == "__main__":
    sys.exit(main())
