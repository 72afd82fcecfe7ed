# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Run the demo of MLflow on a server, count its objects and delete them. Print one JSON object.

Runs in a Python with mlflow. The environment variables of MLflow name the server and the credentials.
Objects of an earlier demo are counted and kept.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import mlflow
from mlflow.demo import DEMO_EXPERIMENT_NAME, DEMO_PROMPT_PREFIX, demo_registry
from mlflow.entities import ViewType


def found(client: mlflow.MlflowClient) -> dict[str, int]:
    """Count the experiments, traces, runs and prompts of the demo."""
    experiment = client.get_experiment_by_name(DEMO_EXPERIMENT_NAME)
    prompts = mlflow.genai.search_prompts(filter_string=f"name LIKE '{DEMO_PROMPT_PREFIX}.%'", max_results=100)
    counted = {"experiments": 0, "traces": 0, "runs": 0, "prompts": len(list(prompts))}
    if experiment is None or experiment.lifecycle_stage != "active":
        return counted
    places = [experiment.experiment_id]
    runs = client.search_runs(places, run_view_type=ViewType.ACTIVE_ONLY, max_results=1000)
    traces = client.search_traces(locations=places, max_results=500, include_spans=False)
    return counted | {"experiments": 1, "traces": len(traces), "runs": len(runs)}


def delete_demo(client: mlflow.MlflowClient) -> None:
    """Delete the objects of the demo with its own functions, then its experiment."""
    for name in demo_registry.list_generators():
        try:
            demo_registry.get(name)().delete_demo()
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
    experiment = client.get_experiment_by_name(DEMO_EXPERIMENT_NAME)
    if experiment is not None and experiment.lifecycle_stage == "active":
        client.delete_experiment(experiment.experiment_id)


def demo(seconds: float) -> dict[str, Any]:
    """Run `mlflow demo`; return its exit code, its output and its duration."""
    command = [sys.executable, "-m", "mlflow", "demo", "--no-browser"]
    command += ["--tracking-uri", os.environ["MLFLOW_TRACKING_URI"]]
    begin = time.monotonic()
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
        code, said = done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired as error:
        code = 124
        said = (error.stdout or b"") + (error.stderr or b"") + f"\nstopped after {seconds:.0f} s".encode()
    output = said.decode(errors="replace")[-2000:]
    return {"rc": code, "output": output, "seconds": round(time.monotonic() - begin, 1)}


def main() -> int:
    """Run as a program. Arguments: the timeout in seconds, and optionally `keep` to keep the objects of the demo."""
    client = mlflow.MlflowClient()
    before = found(client)
    kept = "keep" in sys.argv[2:] or any(before.values())
    answer: dict[str, Any] = {"version": mlflow.__version__, "before": before, "kept": kept}
    try:
        answer |= demo(float(sys.argv[1]))
        answer["made"] = found(client)
    finally:
        # After an error too: the next run would keep the objects of an incomplete demo as objects of a user.
        if not kept:
            delete_demo(client)
    if not kept:
        answer["remaining"] = found(client)
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
