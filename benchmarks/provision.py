# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Measure playbooks/provision.yml on a local cloud with Google's durations, and compare its modules with google.cloud.

    .venv/bin/python -m benchmarks provision --write

1. An empty project: the duration of the run over the duration of the slowest operation.
2. The same playbook again, without changes: reads of each resource.
3. playbooks/mlflow_gcp.yml and playbooks/google_cloud.yml alternately: the same resources without changes. Each
   playbook also runs with `ping` and `debug` in place of its modules, which shows the time of Ansible without an API.
"""

from __future__ import annotations

import argparse
import collections
import json
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from benchmarks.cloud import CALL_SECONDS, Cloud, Run, interleaved, serving
from benchmarks.results import RESULTS, conditions, ratios, spread, table, write

Json = dict[str, Any]

TITLE = "Provisioning"
PLAYBOOKS = Path(__file__).with_name("playbooks")
PROVISION = ("ansible-playbook", "playbooks/provision.yml")
COLLECTIONS = {"mlops.mlflow_gcp": "mlflow_gcp", "google.cloud": "google_cloud"}
# Operations of which each needs the one before it: https://cloud.google.com/sql/docs/postgres/configure-private-services-access
CHAIN = (
    "serviceusage.services.batchEnable",
    "compute.networks.insert",
    "compute.globalAddresses.insert",
    "servicenetworking.services.connections.*",
    "sql.instances.insert",
    "sql.backupRuns.automatic",
    "sql.databases.insert",
    "sql.users.insert",
)
# Methods of clients' libraries and of waits, and the lock and the records of the deployment.
NOT_RESOURCES = ("oauth2.*", "iamcredentials.*", "*perations.*", "storage.objects.*")
CREATING = ("*.insert", "*.create", "*.addVersion", "*.setIamPolicy", "*.batchEnable", "*.connections.patch")


@dataclass(frozen=True)
class Operation:
    """A long-running operation of the local cloud."""

    method: str
    seconds: float


def operations(cloud: Cloud) -> list[Operation]:
    """Return the finished operations."""
    documents = cloud.local.cloud.store.collection("operations").list()
    done = [each for each in documents if each["status"] == "DONE"]
    return [Operation(each["method"], between(each["insertTime"], each["endTime"])) for each in done]


def between(begin: str, end: str) -> float:
    """Return the seconds between two times."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


def chain(found: Sequence[Operation]) -> float:
    """Return the seconds of the operations that cannot run in parallel."""
    return sum(each.seconds for each in found if matches(each.method, CHAIN))


def of_resources(calls: Iterable[Json]) -> list[Json]:
    """Return the successful calls that concern resources."""
    return [call for call in calls if call["status"] < 400 and not matches(call["method"], NOT_RESOURCES)]


def matches(method: str, patterns: Iterable[str]) -> bool:
    """Return whether a method matches a pattern."""
    return any(fnmatchcase(method, pattern) for pattern in patterns)


def created(calls: Iterable[Json]) -> set[str]:
    """Return the resources that calls created. A binding, a version and a connection are resources, too."""
    names = [
        call["targetLink"] or call["name"] or call["path"]
        for call in of_resources(calls)
        if matches(call["method"], CREATING)
    ]
    return set(names)


def reads(calls: Iterable[Json]) -> list[Json]:
    """Return the calls that read resources."""
    return [c for c in of_resources(calls) if c["verb"] == "GET" or c["method"].endswith(".getIamPolicy")]


def kinds(calls: Sequence[Json]) -> dict[str, int]:
    """Return the number of token requests, reads and all other calls."""
    tokens = sum(matches(call["method"], ("oauth2.*", "iamcredentials.*")) for call in calls)
    read = len(reads(calls))
    return {"tokens": tokens, "reads": read, "others": len(calls) - tokens - read}


def without_api(playbook: list[Json], module: str) -> list[Json]:
    """Return the playbook with another module without options in place of its modules."""
    kept = ("name", "loop")
    return [
        {k: play[k] for k in ("hosts", "connection", "gather_facts", "vars")}
        | {"tasks": [{k: task[k] for k in kept if k in task} | {module: {}} for task in play["tasks"]]}
        for play in playbook
    ]


def unchanged(run: Run) -> Run:
    """Return the run. Raises SystemExit if a task changed a resource."""
    text = run.output.decode()
    if not re.search(r"changed=0 .*failed=0", text):
        raise SystemExit(f"error: a run changed a resource:\n{text[-3000:]}")
    return run


@dataclass
class Clients:
    """The playbooks of both collections, and the calls of each run."""

    cloud: Cloud
    calls: dict[str, list[Json]]

    def run(self, name: str, playbook: Path) -> Run:
        """Run a playbook that changes nothing."""
        mark = self.cloud.local.cloud.calls.mark()
        run = unchanged(self.cloud.run("ansible-playbook", "-i", "localhost,", str(playbook)))
        self.calls[name] = self.cloud.local.cloud.calls.since(mark)
        return run

    def all(self) -> dict[str, Path]:
        """Return the playbooks by name."""
        found = {}
        for collection, name in COLLECTIONS.items():
            found[collection] = PLAYBOOKS / f"{name}.yml"
            for module in ("ping", "debug"):
                file = self.cloud.folder / f"{name}-{module}.yml"
                tasks = without_api(yaml.safe_load(found[collection].read_text()), f"ansible.builtin.{module}")
                file.write_text(json.dumps(tasks), encoding="utf-8")
                found[f"{collection}, {module}"] = file
        return found


def cold(cloud: Cloud) -> str:
    """Create the deployment; return the results as Markdown."""
    begin = time.monotonic()
    cloud.run(*PROVISION)
    seconds = time.monotonic() - begin
    found = operations(cloud)
    slowest = max(found, key=lambda each: each.seconds)
    rows = [
        ["whole run", f"{seconds:.0f}", f"{seconds / slowest.seconds:.2f}"],
        [f"slowest operation (`{slowest.method}`)", f"{slowest.seconds:.0f}", "1.00"],
        ["operations that need each other", f"{chain(found):.0f}", f"{chain(found) / slowest.seconds:.2f}"],
    ]
    return table(["New deployment", "seconds", "over the slowest operation (aim: 1.10)"], rows)


def warm(cloud: Cloud, resources: int) -> str:
    """Run the playbook without changes; return the results as Markdown."""
    mark = cloud.local.cloud.calls.mark()
    run = unchanged(cloud.run(*PROVISION))
    calls = cloud.local.cloud.calls.since(mark)
    number = collections.Counter(f"{call['method']} {call['path']}" for call in reads(calls))
    again = {name: count for name, count in number.items() if count > 1}
    rows = [
        ["seconds", f"{run.seconds:.0f}"],
        ["resources that the first run created", str(resources)],
        ["reads", str(number.total())],
        ["reads for each resource (aim: 1)", f"{number.total() / resources:.2f}"],
        ["reads that repeat another read of the run", str(sum(again.values()) - len(again))],
        ["requests of the authentication library", str(kinds(calls)["tokens"])],
    ]
    return table(["Run without changes", ""], rows)


def compare(cloud: Cloud, rounds: int) -> str:
    """Compare both collections; return the results as Markdown."""
    clients = Clients(cloud, {})
    playbooks = clients.all()
    runs = interleaved({name: lambda name=name: clients.run(name, playbooks[name]) for name in playbooks}, rounds)
    seconds = {name: [run.seconds for run in each] for name, each in runs.items()}
    api = {name: [a - b for a, b in zip(seconds[name], seconds[f"{name}, ping"], strict=True)] for name in COLLECTIONS}
    rows = []
    for name in COLLECTIONS:
        number = kinds(clients.calls[name])
        measured = (seconds[name], seconds[f"{name}, ping"], seconds[f"{name}, debug"], api[name])
        rows.append([f"`{name}`", str(number["reads"]), str(number["tokens"]), *(spread(each) for each in measured)])
    ours, theirs = COLLECTIONS
    calls = [f"{int(rows[1][column]) / int(rows[0][column]):.2f}" for column in (1, 2)]
    faster = spread(ratios(seconds[theirs], seconds[ours]), 2), "", "", spread(ratios(api[theirs], api[ours]), 2)
    rows.append([f"{theirs} / {ours}", *calls, *faster])
    columns = (
        "Run without changes",
        "reads",
        "authentication",
        "seconds",
        "with `ping`",
        "with `debug`",
        "API part (aim: 5)",
    )
    return table(columns, rows)


def measure(scale: float, rounds: int) -> str:
    """Return the results as Markdown."""
    with serving() as cloud:
        # Each call takes CALL_SECONDS already.
        cloud.local.cloud.profiles.change({"name": "google", "scale": scale, "storage_call": 0})
        new = cold(cloud)
        resources = len(created(cloud.local.cloud.calls.since()))
        again, compared = warm(cloud, resources), compare(cloud, rounds)
    return f"""\
A local cloud with the profile `google`, durations times {scale:g}. Each API call takes {CALL_SECONDS:g} s.
{conditions("provision")}

{new}

{again}

Both collections read the same resources, {rounds} alternating runs. Minimum, median and maximum. The API part is the
time of the run without the time of the same run with the module `ping`.

{compared}"""


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description="Measure the creation of a deployment, and a run without changes")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies Google's durations (default: 1)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help=f"write the results to {RESULTS.name}")
    options = parser.parse_args()
    result = measure(options.scale, options.rounds)
    print(result)
    if options.write:
        write(RESULTS, TITLE, result)
    return 0
