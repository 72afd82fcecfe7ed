# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Run a benchmark: `python -m benchmarks provision --write`."""

from __future__ import annotations

import importlib
import sys

BENCHMARKS = {
    "artifact-speed": "upload speed of the doctor and of MLflow's client",
    "artifact-transfers": "transfers of a large file directly, through the server, and with Google's library",
    "authentication": "requests with a password, a session and an identity token",
    "container": "upgrade and cutovers in the container of `make bench`",
    "inventory": "dynamic inventory of 10,000 VMs",
    "provision": "creation of a deployment, and a run without changes",
}


def main() -> int:
    """Run as a program."""
    name, *arguments = sys.argv[1:] or [""]
    if name not in BENCHMARKS:
        lines = "\n".join(f"  {each:<18} {text}" for each, text in BENCHMARKS.items())
        print(f"usage: python -m benchmarks BENCHMARK [--help]\n\n{lines}", file=sys.stderr)
        return 0 if name in ("-h", "--help") else 2
    # argparse of the benchmark prints the name of the command.
    sys.argv = [f"python -m benchmarks {name}", *arguments]
    return int(importlib.import_module(f"benchmarks.{name.replace('-', '_')}").main())


if __name__ == "__main__":
    sys.exit(main())
