# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Organization policies are enforced as at Google, with Google's messages."""

from __future__ import annotations

from typing import Any

import pytest

from tests.localcloud.compute_client import REGION, ZONE, Compute
from tests.localcloud.harness import Local

PROJECT = "/cloudresourcemanager/v1/projects/mlflow-local"
SECRETS = "/secretmanager/v1/projects/mlflow-local/secrets"
BUCKETS = "/storage/v1/b?project=mlflow-local"
VM = f"{ZONE}/instances/vm"
METADATA: dict[str, Any] = {"metadata": {"items": [{"key": "enable-oslogin", "value": "FALSE"}]}}
OUTSIDE: dict[str, Any] = {"networkInterfaces": [{"subnetwork": f"{REGION}/subnetworks/sub", "accessConfigs": [{}]}]}
ENFORCED = {"booleanPolicy": {"enforced": True}}


@pytest.fixture
def compute(local: Local) -> Compute:
    compute = Compute(local)
    compute.network()
    compute.subnetwork()
    return compute


def policy(local: Local, constraint: str, value: dict[str, Any]) -> None:
    """Set a policy of the project with Google's own method."""
    document = {"policy": {"constraint": f"constraints/{constraint}", **value}}
    local.session().call("POST", f"{PROJECT}:setOrgPolicy", json=document)


def allow(local: Local, constraint: str, *values: str) -> None:
    """Allow only these values."""
    policy(local, constraint, {"listPolicy": {"allowedValues": list(values)}})


def refused(compute: Compute, verb: str, path: str, body: Any = None) -> str:
    error = compute(verb, path, body, 412)["error"]
    assert error["errors"][0]["reason"] == "conditionNotMet"
    return str(error["message"])


def kept_in(*locations: str) -> Any:
    return {"replication": {"userManaged": {"replicas": [{"location": location} for location in locations]}}}


def test_locations_of_secrets(local: Local) -> None:
    call, automatic = local.session().call, {"replication": {"automatic": {}}}
    allow(local, "gcp.resourceLocations", "in:europe-west1-locations")
    error = call("POST", f"{SECRETS}?secretId=a", 400, json=automatic)["error"]
    assert error["status"] == "FAILED_PRECONDITION"
    words = "Constraint constraints/gcp.resourceLocations violated for [orgpolicy:projects/100000000001] attempting to"
    assert error["message"].startswith(f"{words} create a secret in [global].")
    assert error["details"][0]["violations"][0]["type"] == "constraints/gcp.resourceLocations"
    call("POST", f"{SECRETS}?secretId=a", 400, json=kept_in("europe-west1", "us-east1"))
    call("POST", f"{SECRETS}?secretId=a", json=kept_in("europe-west1"))
    call("POST", f"{PROJECT}:clearOrgPolicy", json={"constraint": "constraints/gcp.resourceLocations"})
    call("POST", f"{SECRETS}?secretId=b", json=automatic)


def test_locations_of_everything_else(compute: Compute) -> None:
    call = compute.session.call
    allow(compute.local, "gcp.resourceLocations", "in:eu-locations", "us-east1")
    for location in ("EU", "europe-west1", "us-east1"):
        call("POST", BUCKETS, json={"name": f"bucket-{location.lower()}", "location": location})
    error = call("POST", BUCKETS, 412, json={"name": "american", "location": "US"})["error"]
    assert error["message"] == "'us' violates constraint 'constraints/gcp.resourceLocations'"
    assert error["errors"][0]["reason"] == "conditionNotMet"
    compute.instance()
    allow(compute.local, "gcp.resourceLocations", "in:us-locations")
    said = refused(compute, "POST", f"{ZONE}/instances", compute.instance_body("other"))
    assert said.startswith("Location ZONE:europe-west1-b violates constraint constraints/gcp.resourceLocations on the")
    database = {"name": "db", "databaseVersion": "POSTGRES_17", "region": "europe-west1", "settings": {}}
    said = call("POST", "/sqladmin/v1/projects/mlflow-local/instances", 412, json=database)["error"]["message"]
    assert "'europe-west1' violates constraint 'constraints/gcp.resourceLocations'" in said


def test_external_addresses(compute: Compute) -> None:
    policy(compute.local, "compute.vmExternalIpAccess", {"listPolicy": {"allValues": "DENY"}})
    name = "projects/mlflow-local/zones/europe-west1-b/instances/vm"
    words = (
        "Constraint constraints/compute.vmExternalIpAccess violated for project 100000000001. "
        f"Add instance {name} to the constraint to use external IP with it."
    )
    assert refused(compute, "POST", f"{ZONE}/instances", compute.instance_body(**OUTSIDE)) == words
    compute.instance()
    add = f"{VM}/addAccessConfig?networkInterface=nic0"
    assert refused(compute, "POST", add, {"name": "out"}) == words
    allow(compute.local, "compute.vmExternalIpAccess", name)
    assert "error" not in compute("POST", add, {"name": "out"})


def test_images(compute: Compute) -> None:
    allow(compute.local, "compute.trustedImageProjects", "projects/company-images")
    assert refused(compute, "POST", f"{ZONE}/instances", compute.instance_body()) == (
        "Constraint constraints/compute.trustedImageProjects violated for project mlflow-local. "
        "Use of images from project debian-cloud is prohibited."
    )
    assert "items" not in compute("GET", f"{ZONE}/disks")
    allow(compute.local, "compute.trustedImageProjects", "projects/company-images", "projects/debian-cloud")
    compute.instance()


def test_os_login(compute: Compute) -> None:
    vm = compute.instance(**METADATA)
    policy(compute.local, "compute.requireOsLogin", ENFORCED)
    words = "Constraint constraints/compute.requireOsLogin violated for project mlflow-local."
    assert refused(compute, "POST", f"{ZONE}/instances", compute.instance_body("other", **METADATA)).startswith(words)
    body = METADATA["metadata"] | {"fingerprint": vm["metadata"]["fingerprint"]}
    assert refused(compute, "POST", f"{VM}/setMetadata", body).startswith(words)
    assert refused(compute, "POST", "setCommonInstanceMetadata", METADATA["metadata"]).startswith(words)
    compute.instance("other")


def test_guest_attributes(compute: Compute) -> None:
    compute.instance(metadata={"items": [{"key": "enable-guest-attributes", "value": "TRUE"}]})
    policy(compute.local, "compute.disableGuestAttributesAccess", ENFORCED)
    said = refused(compute, "GET", f"{VM}/getGuestAttributes?queryPath=hostkeys/")
    assert said == "Constraint constraints/compute.disableGuestAttributesAccess violated for project mlflow-local."


def test_keys_of_service_accounts(local: Local) -> None:
    policy(local, "iam.disableServiceAccountKeyCreation", ENFORCED)
    path = f"/iam/v1/projects/mlflow-local/serviceAccounts/{local.account('server')}/keys"
    error = local.session().call("POST", path, 400, json={})["error"]
    assert (error["status"], error["message"]) == (
        "FAILED_PRECONDITION",
        "Key creation is not allowed on this service account.",
    )
    assert error["details"][0]["violations"][0]["type"] == "constraints/iam.disableServiceAccountKeyCreation"


def test_services(local: Local) -> None:
    call = local.session().call
    allow(local, "gcp.restrictServiceUsage", "compute.googleapis.com", "cloudresourcemanager.googleapis.com")
    error = call("GET", SECRETS, 403)["error"]
    assert error["message"] == (
        "Request is disallowed by organization's constraints/gcp.restrictServiceUsage constraint for "
        "'projects/100000000001' attempting to use service 'secretmanager.googleapis.com'."
    )
    assert error["details"][0]["reason"] == "RESOURCE_USAGE_RESTRICTION_VIOLATED"
    call("GET", "/compute/v1/projects/mlflow-local/global/networks")


def test_a_policy_has_the_kind_of_its_constraint(local: Local) -> None:
    call = local.session().call
    wrong = {"policy": {"constraint": "constraints/gcp.resourceLocations", **ENFORCED}}
    call("POST", f"{PROJECT}:setOrgPolicy", 400, json=wrong)
    effective = {"constraint": "constraints/gcp.resourceLocations"}
    assert call("POST", f"{PROJECT}:getEffectiveOrgPolicy", json=effective)["listPolicy"] == {"allValues": "ALLOW"}
    allow(local, "gcp.resourceLocations", "europe-west1")
    assert call("POST", f"{PROJECT}:getEffectiveOrgPolicy", json=effective)["listPolicy"] == {
        "allowedValues": ["europe-west1"]
    }
