# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Secrets under an organization policy that allows resources in one region only.

Secrets always had automatic replication, which the policy refuses, and no variable changed it. The refusal came after
the creation of the network and the database.
"""

from __future__ import annotations

import json
import signal

from tests.localcloud.harness import Local
from tests.localcloud.playbooks.playbook import RECAP, Door, Playbook

COMPUTE = "/compute/v1/projects/mlflow-local"
SECRETS = "/secretmanager/v1/projects/mlflow-local/secrets"
IN_ONE_REGION = ("-e", json.dumps({"secrets_locations": ["europe-west1"]}))


def test_secrets_are_where_the_organisation_allows_them(empty: Local, playbook: Playbook, door: Door) -> None:
    session = empty.session()
    policy = {"constraint": "constraints/gcp.resourceLocations", "listPolicy": {"allowedValues": ["in:eu-locations"]}}
    empty.enable("cloudresourcemanager")
    session.call("POST", "/cloudresourcemanager/v1/projects/mlflow-local:setOrgPolicy", json={"policy": policy})
    assert playbook.run() == 2
    said = " ".join(playbook.output.split())
    assert "Constraint constraints/gcp.resourceLocations violated" in said
    assert "secrets_locations" in said
    # No expensive resource was created before.
    assert [call for call in door.changing if "/networks" in call or "/sqladmin/" in call] == []

    # The secrets come before the network, so the rest of the deployment is not needed here.
    assert playbook.run(*IN_ONE_REGION, kill_at="POST */global/networks") == -signal.SIGKILL, playbook.output[-5000:]
    replicas = [secret["replication"] for secret in session.call("GET", SECRETS)["secrets"]]
    assert len(replicas) >= 4
    assert {json.dumps(one) for one in replicas} == {'{"userManaged": {"replicas": [{"location": "europe-west1"}]}}'}

    assert playbook.run() == 2
    said = " ".join(playbook.output.split())
    assert "secrets_locations is []" in said
    assert "(current: europe-west1; desired: all locations of Google (automatic replication))" in said
    recap = RECAP.search(playbook.output)
    assert recap
    assert recap[2] == "0"
    assert door.changing == []
