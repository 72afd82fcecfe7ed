# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The calculations of the benchmark `inventory`."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.cloud import Run
from benchmarks.inventory import ANSIBLE, OURS, SELECTED, THEIRS, copied, hosts, text

BASE = "https://www.googleapis.com/compute/v1/projects/p/zones/europe-west1-b"
VM: dict[str, Any] = {
    "id": "7",
    "name": "vm",
    "selfLink": f"{BASE}/instances/vm",
    "zone": BASE,
    "labels": {"app": "mlflow", "team": "0"},
    "disks": [{"source": f"{BASE}/disks/vm"}],
    "networkInterfaces": [{"networkIP": "10.128.0.2", "accessConfigs": [{"natIP": "198.18.0.2"}]}],
}


def test_each_vm_differs_in_name_zone_and_address() -> None:
    made = copied(VM, 9_999)
    other = BASE.replace("europe-west1-b", "us-central1-a")
    assert (made["name"], made["id"], made["zone"]) == ("vm-09999", "10006", other)
    assert (made["selfLink"], made["disks"][0]["source"]) == (f"{other}/instances/vm-09999", f"{other}/disks/vm-09999")
    assert made["networkInterfaces"] == [{"networkIP": "10.128.39.15", "accessConfigs": [{"natIP": "198.18.39.15"}]}]
    assert made["labels"] == {"app": "mlflow", "team": "19"}
    assert VM["networkInterfaces"][0]["networkIP"] == "10.128.0.2"


def test_hosts_of_an_inventory() -> None:
    variables = {"a": {"ansible_host": "198.18.0.1", "zone": "b"}, "b": {}}
    output = {"_meta": {"hostvars": variables}, "all": {"children": ["zone_b"]}, "zone_b": {"hosts": ["b", "a"]}}
    expected = {"addresses": {"a": "198.18.0.1", "b": None}, "groups": {"zone_b": ["a", "b"]}}
    assert hosts(json.dumps(output).encode()) == expected


def test_ratios_are_those_of_a_round() -> None:
    def runs(*measured: tuple[float, float]) -> list[Run]:
        return [Run(seconds, peak, b"") for seconds, peak in measured]

    found = text(
        500,
        2,
        {
            OURS: runs((2.0, 100), (4.0, 100)),
            SELECTED: runs((1.0, 50), (2.0, 50)),
            THEIRS: runs((4.0, 150), (16.0, 200)),
            ANSIBLE: runs((1.0, 90), (2.0, 90)),
        },
    )
    assert f"| {THEIRS} / {OURS} (aims: 3, 1) | 2.00 / 3.00 / 4.00 | 1.50 / 1.75 / 2.00 |" in found
    assert f"| {THEIRS} / {SELECTED} (aims: 3, 1) | 4.00 / 6.00 / 8.00 | 3.00 / 3.50 / 4.00 |" in found
