# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""MLflow's own demo against a server: make it, look that it is there, take it away. Prints one JSON object.

Runs in a Python that has mlflow; the server and the way to it come from MLflow's own environment variables.
Data of a demo that was there before is looked at, and stays.
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
    """What there is of the demo: how many of each thing that people see."""
    experiment = client.get_experiment_by_name(DEMO_EXPERIMENT_NAME)
    prompts = mlflow.genai.search_prompts(filter_string=f"name LIKE '{DEMO_PROMPT_PREFIX}.%'", max_results=100)
    counted = {"experiments": 0, "traces": 0, "runs": 0, "prompts": len(list(prompts))}
    if experiment is None or experiment.lifecycle_stage != "active":
        return counted
    places = [experiment.experiment_id]
    runs = client.search_runs(places, run_view_type=ViewType.ACTIVE_ONLY, max_results=1000)
    traces = client.search_traces(locations=places, max_results=500, include_spans=False)
    return counted | {"experiments": 1, "traces": len(traces), "runs": len(runs)}


def take_away(client: mlflow.MlflowClient) -> None:
    """Delete it with the means that the demo has for that, and the experiment around it."""
    for name in demo_registry.list_generators():
        try:
            demo_registry.get(name)().delete_demo()
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
    experiment = client.get_experiment_by_name(DEMO_EXPERIMENT_NAME)
    if experiment is not None and experiment.lifecycle_stage == "active":
        client.delete_experiment(experiment.experiment_id)


def demo(seconds: float) -> dict[str, Any]:
    """MLflow's own command: how it ended, what it said, how long it took."""
    command = [sys.executable, "-m", "mlflow", "demo", "--no-browser"]
    command += ["--tracking-uri", os.environ["MLFLOW_TRACKING_URI"]]
    begin = time.monotonic()
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
        code, said = done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired as error:
        code = 124
        said = (error.stdout or b"") + (error.stderr or b"") + f"\nnot done after {seconds:.0f} s".encode()
    output = said.decode(errors="replace")[-2000:]
    return {"rc": code, "output": output, "seconds": round(time.monotonic() - begin, 1)}


def main() -> int:
    """Run as a program with the seconds that the demo may take; `keep` after it leaves what was made."""
    client = mlflow.MlflowClient()
    before = found(client)
    kept = "keep" in sys.argv[2:] or any(before.values())
    answer: dict[str, Any] = {"version": mlflow.__version__, "before": before, "kept": kept}
    try:
        answer |= demo(float(sys.argv[1]))
        answer["made"] = found(client)
    finally:
        # Also half a demo: the next one would take it for somebody's, and let it stay.
        if not kept:
            take_away(client)
    if not kept:
        answer["left"] = found(client)
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
