# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The default service account and the auto mode network `default` of a project.

A new project had neither. A VM without a network or with the account was refused with "not found".
"""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from google.api_core.client_options import ClientOptions
from google.cloud import compute_v1

from localcloud.commands.env import variables
from localcloud.metadata import server as metadata
from localcloud.services.compute import catalog
from localcloud.services.compute.directory import Directory
from tests.localcloud.compute_client import DEBIAN, LINK, Compute
from tests.localcloud.engine import test_metadata
from tests.localcloud.harness import Local
from tests.localcloud.test_services import finished

EMAIL = "100000000001-compute@developer.gserviceaccount.com"
ZONE = "zones/us-central1-a"
USAGE = "/serviceusage/v1/projects"
MANAGER = "/cloudresourcemanager/v1"
ACCOUNTS = "/iam/v1/projects/mlflow-local/serviceAccounts"
RULES = ["default-allow-icmp", "default-allow-internal", "default-allow-rdp", "default-allow-ssh"]
SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"


def switch(call: Any, verb: str, project: str = "mlflow-local") -> None:
    operation = call("POST", f"{USAGE}/{project}/services/compute.googleapis.com:{verb}", json={})
    assert "error" not in finished(call, "/serviceusage/v1", operation)


@pytest.fixture
def compute(local: Local) -> Compute:
    """Compute Engine in a project whose owner has just enabled the API."""
    local.cloud.projects.disable("mlflow-local", "compute.googleapis.com")
    session = local.session()
    switch(session.call, "enable")
    return Compute(local, session)


def vm_body(name: str = "vm", **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "machineType": f"{ZONE}/machineTypes/e2-small",
        "disks": [{"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": DEBIAN}}],
        "networkInterfaces": [{"network": "global/networks/default"}],
    } | fields


def test_the_default_network_has_a_subnetwork_in_every_region(compute: Compute) -> None:
    network = compute("GET", "global/networks/default")
    assert network["autoCreateSubnetworks"] is True
    assert network["description"] == "Default network for the project"
    for region in catalog.REGIONS:
        subnetwork = compute("GET", f"regions/{region}/subnetworks/default")
        assert subnetwork["selfLink"] in network["subnetworks"]
        assert subnetwork["network"] == LINK + "global/networks/default"
    assert len(network["subnetworks"]) == len(catalog.REGIONS)
    ranges = {
        region: compute("GET", f"regions/{region}/subnetworks/default")["ipCidrRange"]
        for region in ("us-central1", "europe-west1", "asia-east1", "us-west2")
    }
    # Published by Google.
    assert ranges == {
        "us-central1": "10.128.0.0/20",
        "europe-west1": "10.132.0.0/20",
        "asia-east1": "10.140.0.0/20",
        "us-west2": "10.168.0.0/20",
    }


def test_the_default_network_has_its_firewall_rules(compute: Compute) -> None:
    rules = compute("GET", "global/firewalls")["items"]
    assert [rule["name"] for rule in rules] == RULES
    for rule in rules:
        assert (rule["priority"], rule["direction"], rule["disabled"]) == (65534, "INGRESS", False)
        assert rule["network"] == LINK + "global/networks/default"
    assert {rule["name"][14:]: (rule["sourceRanges"], rule["allowed"]) for rule in rules} == {
        "icmp": (["0.0.0.0/0"], [{"IPProtocol": "icmp"}]),
        "internal": (
            ["10.128.0.0/9"],
            [
                {"IPProtocol": "tcp", "ports": ["0-65535"]},
                {"IPProtocol": "udp", "ports": ["0-65535"]},
                {"IPProtocol": "icmp"},
            ],
        ),
        "rdp": (["0.0.0.0/0"], [{"IPProtocol": "tcp", "ports": ["3389"]}]),
        "ssh": (["0.0.0.0/0"], [{"IPProtocol": "tcp", "ports": ["22"]}]),
    }


def test_the_engine_gets_the_default_network_with_its_first_vm(compute: Compute) -> None:
    """The engine gets no subnetworks without VMs."""
    compute.network()
    assert compute.state.subnetworks == ()
    vm = compute.made(f"{ZONE}/instances", vm_body(serviceAccounts=[{"email": "default", "scopes": [SCOPE]}]))
    nic = vm["networkInterfaces"][0]
    assert nic["subnetwork"] == LINK + "regions/us-central1/subnetworks/default"
    assert nic["networkIP"] == "10.128.0.2"
    assert vm["serviceAccounts"] == [{"email": EMAIL, "scopes": [SCOPE]}]
    assert [(s.network, s.cidr) for s in compute.state.subnetworks] == [("mlflow-local/default", "10.128.0.0/20")]
    assert len([r for r in compute.state.firewall if r.network == "mlflow-local/default"]) == len(RULES)
    compute.removed(f"{ZONE}/instances/vm")
    assert compute.state.subnetworks == ()


def test_networks_with_the_same_range_cannot_have_vms_together(compute: Compute) -> None:
    """Google allows this. The local cloud refuses it and creates nothing."""
    compute.network("own")
    body = {"name": "own", "network": "global/networks/own", "ipCidrRange": "10.128.0.0/20"}
    compute.made("regions/europe-west1/subnetworks", body)
    own = {
        "machineType": "zones/europe-west1-b/machineTypes/e2-small",
        "networkInterfaces": [{"subnetwork": "regions/europe-west1/subnetworks/own"}],
    }
    compute.made("zones/europe-west1-b/instances", vm_body("own", **own))
    refused = compute("POST", f"{ZONE}/instances", vm_body(), 501)["error"]["message"]
    assert "mlflow-local/own" in refused
    assert "10.128.0.0/20" in refused
    compute("GET", f"{ZONE}/instances/vm", code=404)
    compute("GET", f"{ZONE}/disks/vm", code=404)
    elsewhere = {
        "machineType": "zones/europe-west1-b/machineTypes/e2-small",
    }
    compute.made("zones/europe-west1-b/instances", vm_body(**elsewhere))
    compute.removed("zones/europe-west1-b/instances/vm")
    compute.removed("zones/europe-west1-b/instances/own")
    compute.made(f"{ZONE}/instances", vm_body())


def test_the_default_network_can_be_deleted_and_stays_deleted(compute: Compute) -> None:
    for rule in RULES:
        compute.removed(f"global/firewalls/{rule}")
    compute.removed("global/networks/default")
    assert "items" not in compute("GET", "regions/us-central1/subnetworks")
    switch(compute.session.call, "disable")
    switch(compute.session.call, "enable")
    assert "items" not in compute("GET", "global/networks")
    assert "items" not in compute("GET", "global/firewalls")
    refused = compute("POST", f"{ZONE}/instances", vm_body(), 400)["error"]["message"]
    assert "global/networks/default" in refused


def test_the_default_account_is_there_once_the_api_is_enabled(local: Local) -> None:
    local.cloud.projects.disable("mlflow-local", "compute.googleapis.com")
    call = local.session().call
    call("GET", f"{ACCOUNTS}/{EMAIL}", 404)
    switch(call, "enable")
    account = call("GET", f"{ACCOUNTS}/{EMAIL}")
    assert account["displayName"] == "Compute Engine default service account"
    assert EMAIL in [a["email"] for a in call("GET", ACCOUNTS)["accounts"]]
    assert call("GET", "/compute/v1/projects/mlflow-local")["defaultServiceAccount"] == EMAIL
    # As in a new organization at Google, the account has no role.
    policy = call("POST", f"{MANAGER}/projects/mlflow-local:getIamPolicy", json={})
    assert f"serviceAccount:{EMAIL}" not in json.dumps(policy)


def test_a_vm_uses_the_default_account(local: Local, compute: Compute) -> None:
    """`default`, an empty email and the account's own email are the same; the metadata server issues its tokens."""
    for number, email in enumerate((None, "default", EMAIL)):
        account = {"scopes": [SCOPE]} | ({"email": email} if email else {})
        vm = compute.made(f"{ZONE}/instances", vm_body(f"vm{number}", serviceAccounts=[account]))
        assert vm["serviceAccounts"] == [{"email": EMAIL, "scopes": [SCOPE]}]
    assert "serviceAccounts" not in compute.made(f"{ZONE}/instances", vm_body("without"))
    server = metadata.MetadataServer(Directory(local.cloud), local.cloud.auth)

    def inside(name: str) -> Any:
        path = f"instance/service-accounts/default/{name}"
        return asyncio.run(test_metadata.request(server, path, ip="10.128.0.2"))

    assert inside("email").text == EMAIL
    token = inside("token").json()["access_token"]
    described = local.cloud.auth.describe(token)
    assert described
    assert (described["email"], described["scopes"]) == (EMAIL, [SCOPE])


def test_a_deleted_default_account_is_not_made_again(compute: Compute) -> None:
    call = compute.session.call
    number = call("GET", f"{ACCOUNTS}/{EMAIL}")["uniqueId"]
    call("DELETE", f"{ACCOUNTS}/{EMAIL}")
    body = vm_body(serviceAccounts=[{"email": "default", "scopes": [SCOPE]}])
    error = compute("POST", f"{ZONE}/instances", body)["error"]["errors"][0]
    assert EMAIL in error["message"]
    call("GET", f"{ACCOUNTS}/{EMAIL}", 404)
    call("POST", f"{ACCOUNTS}/{number}:undelete", json={})
    compute.made(f"{ZONE}/instances", body)


def test_acting_as_the_default_account_needs_permission(local: Local, compute: Compute) -> None:
    email = local.account("someone", "roles/compute.admin")
    body = vm_body(serviceAccounts=[{"email": "default", "scopes": [SCOPE]}])
    member = Compute(local, local.session_as(email))
    assert EMAIL in member("POST", f"{ZONE}/instances", body, 400)["error"]["message"]
    binding = {"role": "roles/iam.serviceAccountUser", "members": [f"serviceAccount:{email}"]}
    compute.session.call("POST", f"{ACCOUNTS}/{EMAIL}:setIamPolicy", json={"policy": {"bindings": [binding]}})
    member.made(f"{ZONE}/instances", body)


def test_a_new_project_follows_its_organization_policies(local: Local) -> None:
    """Constraints: compute.skipDefaultNetworkCreation, iam.automaticIamGrantsForDefaultServiceAccounts."""
    call = local.session().call
    for project in ("with-defaults", "without-network"):
        made = call("POST", f"{MANAGER}/projects", json={"projectId": project})
        finished(call, MANAGER, made)
    path = f"{MANAGER}/projects/without-network"
    for constraint, enforced in (
        ("constraints/compute.skipDefaultNetworkCreation", True),
        ("constraints/iam.automaticIamGrantsForDefaultServiceAccounts", False),
    ):
        before = call("POST", f"{path}:getEffectiveOrgPolicy", json={"constraint": constraint})
        assert before["booleanPolicy"] == ({} if enforced else {"enforced": True})
        policy = call("POST", f"{path}:getOrgPolicy", json={"constraint": constraint})
        assert "booleanPolicy" not in policy
        policy["booleanPolicy"] = {"enforced": enforced}
        call("POST", f"{path}:setOrgPolicy", json={"policy": policy})
        call("POST", f"{path}:setOrgPolicy", 409, json={"policy": policy})
    call("POST", f"{path}:getOrgPolicy", 501, json={"constraint": "constraints/compute.requireShieldedVm"})
    for project in ("with-defaults", "without-network"):
        switch(call, "enable", project)
    assert [n["name"] for n in call("GET", "/compute/v1/projects/with-defaults/global/networks")["items"]] == [
        "default"
    ]
    assert "items" not in call("GET", "/compute/v1/projects/without-network/global/networks")
    assert "items" not in call("GET", "/compute/v1/projects/without-network/global/firewalls")
    email = call("GET", "/compute/v1/projects/without-network")["defaultServiceAccount"]
    bindings = call("POST", f"{path}:getIamPolicy", json={})["bindings"]
    assert {"role": "roles/editor", "members": [f"serviceAccount:{email}"]} in bindings
    constraint = {"constraint": "constraints/compute.skipDefaultNetworkCreation"}
    assert "booleanPolicy" in call("POST", f"{path}:getOrgPolicy", json=constraint)
    call("POST", f"{path}:clearOrgPolicy", json=constraint)
    assert "booleanPolicy" not in call("POST", f"{path}:getOrgPolicy", json=constraint)


def test_a_state_of_an_older_release_gets_the_account_and_no_network(local: Local) -> None:
    local.restart()
    call = local.session().call
    assert call("GET", f"{ACCOUNTS}/{EMAIL}")["email"] == EMAIL
    switch(call, "disable")
    switch(call, "enable")
    assert "items" not in call("GET", "/compute/v1/projects/mlflow-local/global/networks")


def test_client_library(local: Local, compute: Compute) -> None:
    options = {"credentials": local.credentials(), "client_options": ClientOptions(api_endpoint=local.url)}
    network = compute_v1.NetworksClient(**options).get(project="mlflow-local", network="default")
    assert network.auto_create_subnetworks
    assert len(network.subnetworks) == len(catalog.REGIONS)
    project = compute_v1.ProjectsClient(**options).get(project="mlflow-local")
    assert project.default_service_account == EMAIL
    rules = compute_v1.FirewallsClient(**options).list(project="mlflow-local")
    assert [rule.name for rule in rules] == RULES


@pytest.fixture
def gcloud(local: Local, tmp_path: pathlib.Path) -> Callable[..., Any]:
    """gcloud with a configuration of its own."""
    program = shutil.which("gcloud")
    if program is None:
        pytest.skip("gcloud is not installed")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("CLOUDSDK_", "GOOGLE_"))}
    environment |= variables(local.cloud.settings)
    environment |= {"CLOUDSDK_CONFIG": str(tmp_path / "gcloud"), "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}

    def run(*arguments: str) -> Any:
        command = [program, *arguments, "--format=json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


def test_gcloud(local: Local, gcloud: Callable[..., Any]) -> None:
    local.cloud.projects.disable("mlflow-local", "compute.googleapis.com")
    gcloud("services", "enable", "compute.googleapis.com")
    made = gcloud("compute", "instances", "create", "vm", "--zone=us-central1-a", "--machine-type=e2-small")[0]
    assert made["networkInterfaces"][0]["network"].endswith("/global/networks/default")
    assert made["serviceAccounts"][0]["email"] == EMAIL
    assert [n["name"] for n in gcloud("compute", "networks", "list")] == ["default"]
    gcloud("compute", "instances", "delete", "vm", "--zone=us-central1-a")
    constraint = "compute.skipDefaultNetworkCreation"
    gcloud("resource-manager", "org-policies", "enable-enforce", constraint, "--project=mlflow-local")
    # gcloud deletes several rules with one batch of calls.
    gcloud("compute", "firewall-rules", "delete", *RULES)
    gcloud("compute", "networks", "delete", "default")
