# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A bucket with thousands of object versions: its deletion timed out and showed no progress."""

from __future__ import annotations

import json
import os
import pathlib
import re

from localcloud.services.storage.blobs import Stored
from localcloud.services.storage.documents import Objects, new_object
from tests.localcloud.harness import Local
from tests.localcloud.playbooks.playbook import REPOSITORY, Playbook

VERSIONS = 5_000
BUCKET = "mlflow-local-many"


def fill(local: Local) -> None:
    """Create a bucket with many versions of a tenth as many objects, directly in the store."""
    session = local.session()
    session.call("POST", "/storage/v1/b?project=mlflow-local", json={"name": BUCKET, "versioning": {"enabled": True}})
    bucket = local.cloud.store.collection("storage.buckets").get(f"projects/_/buckets/{BUCKET}")
    assert bucket
    objects, stored = Objects(local.cloud, BUCKET), Stored("no-such-blob", 0, "1B2M2Y8AsgTpgAmY7PhCfg==", "AAAAAA==")
    with local.cloud.store.transaction():
        for number in range(VERSIONS):
            objects.put(new_object(f"{number % (VERSIONS // 10)}/a b", {}, stored, ""), lambda _: None, bucket)


def test_the_versions_go_and_the_progress_is_shown(empty: Local, playbook: Playbook, tmp_path: pathlib.Path) -> None:
    fill(empty)
    # As with a fast connection to Google: sequential deletions take more than two minutes.
    empty.session().call("PUT", "/localcloud/profile", json={"storage_call": 0.025})
    task = {
        "name": "Delete the bucket",
        "mlops.mlflow_gcp.gcp_bucket": {"name": BUCKET, "state": "absent", "force": True, "project": "mlflow-local"},
    }
    file = tmp_path / "delete.yml"
    file.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    name = os.path.relpath(file.with_suffix(""), REPOSITORY / "playbooks")
    assert playbook.run(playbook=name) == 0, playbook.output
    empty.session().call("GET", f"/storage/v1/b/{BUCKET}", 404)
    told = re.findall(rf"objects of bucket {BUCKET}: ([\d,]+) versions deleted \((\d+) s\)", playbook.output)
    assert told, playbook.output
    assert all(int(seconds) <= 15 * (place + 1) for place, (_, seconds) in enumerate(told))
    counts = [int(count.replace(",", "")) for count, _ in told]
    assert counts == sorted(counts)
    assert playbook.changed() == 1
