# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Compare the dynamic inventory of this collection with google.cloud.gcp_compute.

    .venv/bin/python -m benchmarks inventory --write

`ansible-inventory --list` reads the same VMs with both plugins, alternately. A third inventory source, a script that
prints the hosts, shows the time of Ansible without an API.
"""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path
from typing import Any

from benchmarks.cloud import CALL_SECONDS, Cloud, interleaved, serving, slow
from benchmarks.results import RESULTS, conditions, ratios, spread, table, write
from localcloud.core.settings import PROJECT
from localcloud.services.compute.api import resources

TITLE = "Dynamic inventory"
ZONES = ("europe-west1-b", "europe-west1-c", "europe-west1-d", "us-central1-a")
COMPUTE = f"/compute/v1/projects/{PROJECT}"
OURS, THEIRS, ANSIBLE = "mlops.mlflow_gcp.gcp_instances", "google.cloud.gcp_compute", "script that prints the hosts"
# The option `fields` selects what the groups and the address need. google.cloud has no such option.
SELECTED = f"{OURS}, fields"
GROUPS: dict[str, Any] = {
    "filters": ["labels.app=mlflow", "status=RUNNING"],
    "hostnames": ["name"],
    "keyed_groups": [{"key": "zone", "prefix": "zone"}, {"key": "labels", "prefix": "label"}],
}


# Each plugin's own expression of its documentation for the external address.
ADDRESS = {OURS: "external_ip", SELECTED: "external_ip", THEIRS: "networkInterfaces[0].accessConfigs[0].natIP"}


class Repeat:
    """ASGI middleware: repeats the first answer to a GET request.

    The local cloud reads and validates all VMs for each page, which would take longer than the client's work.
    """

    def __init__(self, application: Any) -> None:
        self._application = application
        self._answers: dict[tuple[str, bytes], list[Any]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._application(scope, receive, send)
            return
        key = scope["path"], scope["query_string"]
        if key not in self._answers:
            messages: list[Any] = []

            async def keep(message: Any) -> None:
                messages.append(message)

            await self._application(scope, receive, keep)
            self._answers[key] = messages
        for message in self._answers[key]:
            await send(message)


def fill(cloud: Cloud, count: int) -> None:
    """Create one VM with the API, and copies of its document in the store."""
    cloud.local.enable("compute")
    session = cloud.local.session()
    disk = {"boot": True, "initializeParams": {"sourceImage": "projects/debian-cloud/global/images/family/debian-13"}}
    vm = {
        "name": "vm",
        "machineType": f"zones/{ZONES[0]}/machineTypes/e2-small",
        "labels": {"app": "mlflow", "team": "0"},
        "tags": {"items": ["mlflow-server"]},
        "metadata": {"items": [{"key": "enable-oslogin", "value": "FALSE"}]},
        "disks": [disk],
        "networkInterfaces": [{"network": "global/networks/default", "accessConfigs": [{}]}],
    }
    network = {"name": "default", "autoCreateSubnetworks": True}
    wait(session, session.call("POST", f"{COMPUTE}/global/networks", json=network))
    wait(session, session.call("POST", f"{COMPUTE}/zones/{ZONES[0]}/instances", json=vm))
    found = resources(cloud.local.cloud, "instances").get(f"projects/{PROJECT}/zones/{ZONES[0]}/instances/vm")
    documents = cloud.local.cloud.store.collection("compute.instances")
    with cloud.local.cloud.store.transaction():
        for number in range(1, count):
            made = copied(found, number)
            documents.put(f"projects/{PROJECT}/zones/{zone_of(number)}/instances/{made['name']}", made)


def wait(session: Any, operation: dict[str, Any]) -> None:
    """Wait for an operation of Compute Engine."""
    path = operation["selfLink"].partition("/compute/v1/")[2]
    while operation["status"] != "DONE":
        operation = session.call("POST", f"/compute/v1/{path}/wait")


def zone_of(number: int) -> str:
    """Return the zone of a VM."""
    return ZONES[number % len(ZONES)]


def copied(document: dict[str, Any], number: int) -> dict[str, Any]:
    """Return a copy of a VM's document with another name, zone, ID, label and address."""
    name, zone = f"vm-{number:05d}", zone_of(number)
    text = json.dumps(document).replace("instances/vm", f"instances/{name}").replace("disks/vm", f"disks/{name}")
    made: dict[str, Any] = json.loads(text.replace(f"zones/{ZONES[0]}", f"zones/{zone}"))
    made |= {
        "name": name,
        "id": str(int(document["id"]) + number),
        "labels": {"app": "mlflow", "team": str(number % 20)},
    }
    interface = copy.deepcopy(document["networkInterfaces"][0])
    interface["networkIP"] = f"10.128.{number // 256}.{number % 256}"
    interface["accessConfigs"][0]["natIP"] = f"198.18.{number // 256}.{number % 256}"
    made["networkInterfaces"] = [interface]
    return made


def sources(folder: Path) -> dict[str, Path]:
    """Write the inventory sources."""
    files = {
        OURS: folder / "ours.gcp.yml",
        SELECTED: folder / "selected.gcp.yml",
        THEIRS: folder / "theirs.gcp.yml",
        ANSIBLE: folder / "script.py",
    }
    options: dict[str, dict[str, Any]] = {
        OURS: {"plugin": OURS, "project": PROJECT},
        SELECTED: {"plugin": OURS, "project": PROJECT, "fields": ["labels", "networkInterfaces"]},
        THEIRS: {"plugin": THEIRS, "projects": [PROJECT], "auth_kind": "application"},
    }
    for name, source in options.items():
        content = source | {"compose": {"ansible_host": ADDRESS[name]}} | GROUPS
        files[name].write_text(json.dumps(content), encoding="utf-8")
    files[ANSIBLE].write_text('#!/bin/sh\ncat "$(dirname "$0")/hosts.json"\n', encoding="utf-8")
    files[ANSIBLE].chmod(0o700)
    return files


def hosts(output: bytes) -> dict[str, Any]:
    """Return the address of each host, and the hosts of each group, in the output of ansible-inventory."""
    found = json.loads(output)
    addresses = {host: variables.get("ansible_host") for host, variables in found.pop("_meta")["hostvars"].items()}
    groups = {group: sorted(content["hosts"]) for group, content in found.items() if content.get("hosts")}
    return {"addresses": addresses, "groups": groups}


def measure(count: int, rounds: int) -> str:
    """Return the results as Markdown."""
    with serving(lambda application: slow(Repeat(application))) as cloud:
        fill(cloud, count)
        files = sources(cloud.folder)
        command = {name: ("ansible-inventory", "--list", "-i", str(file)) for name, file in files.items()}
        ours, theirs, selected = (cloud.run(*command[name]).output for name in (OURS, THEIRS, SELECTED))
        for other in (theirs, selected):
            if hosts(ours) != hosts(other) or len(hosts(ours)["addresses"]) != count:
                raise SystemExit(f"error: the inventories differ:\n{hosts(ours)}\n{hosts(other)}"[:5000])
        (cloud.folder / "hosts.json").write_bytes(ours)
        runs = interleaved({name: lambda name=name: cloud.run(*command[name]) for name in command}, rounds)
    return text(count, rounds, runs)


def text(count: int, rounds: int, runs: Any) -> str:
    """Return the results as Markdown."""
    seconds = {name: [run.seconds for run in each] for name, each in runs.items()}
    memory = {name: [run.peak_mb for run in each] for name, each in runs.items()}
    rows = [[f"`{name}`" if "." in name else name, spread(seconds[name]), spread(memory[name], 0)] for name in runs]
    for name in (OURS, SELECTED):
        compared = [spread(ratios(each[THEIRS], each[name]), 2) for each in (seconds, memory)]
        rows.append([f"{THEIRS} / {name} (aims: 3, 1)", *compared])
    columns = ["Inventory source", "seconds (minimum / median / maximum)", "peak memory in MB"]
    return (
        f"`ansible-inventory --list` of {count:,} VMs, {rounds} alternating runs. Each page has 500 VMs, and each API"
        f" call takes {CALL_SECONDS:g} s. {conditions('inventory')}\n\n{table(columns, rows)}"
    )


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description="Compare the dynamic inventory with google.cloud.gcp_compute")
    parser.add_argument("--vms", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help=f"write the results to {RESULTS.name}")
    options = parser.parse_args()
    result = measure(options.vms, options.rounds)
    print(result)
    if options.write:
        write(RESULTS, TITLE, result)
    return 0
