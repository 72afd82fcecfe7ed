# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""All spellings that Google's JSON parsers accept become one canonical form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from localcloud.core import contract
from localcloud.core.canonical import ContractError, json_name
from tests.localcloud.harness import Local

Call = Callable[..., Any]
SECRETS = "/secretmanager/v1/projects/mlflow-local/secrets"
COMPUTE = "/compute/v1/projects/mlflow-local"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("display_name", "displayName"),
        ("nat_i_p", "natIP"),  # the name of Compute's field in google-cloud-compute
        ("ipv4_enabled", "ipv4Enabled"),
        ("sha_256", "sha256"),
        ("displayName", "displayName"),
        ("display_Name", "display_Name"),
        ("_name", "_name"),
        ("name_", "name_"),
        ("a__b", "a__b"),
    ],
)
def test_names_of_protobuf(name: str, expected: str) -> None:
    assert json_name(name) == expected


def request(api: str, version: str, method: str, body: Any) -> Any:
    loaded = contract.load(api, version)
    return loaded.request(loaded.methods[method], body)


def test_names_at_every_depth() -> None:
    body = {
        "database_version": "POSTGRES_15",
        "settings": {
            "data_disk_size_gb": 10,
            "user_labels": {"my_label": "a_b"},
            "database_flags": [{"name": "max_connections", "value": "100"}],
            "ipConfiguration": {"ipv4_enabled": False},
        },
    }
    assert request("sqladmin", "v1", "sql.instances.insert", body) == {
        "databaseVersion": "POSTGRES_15",
        "settings": {
            "dataDiskSizeGb": "10",
            "userLabels": {"my_label": "a_b"},
            "databaseFlags": [{"name": "max_connections", "value": "100"}],
            "ipConfiguration": {"ipv4Enabled": False},
        },
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"settings": {"userLabels": {}, "user_labels": {}}}, "settings.userLabels"),
        ({"settings": {"user_labels": {}, "userLabels": {}}}, "settings.userLabels"),
        (
            {"settings": {"databaseFlags": [{}, {"name": "a"}]}, "database_version": "x", "databaseVersion": "x"},
            "databaseVersion",
        ),
    ],
)
def test_one_field_in_both_spellings(body: Any, field: str) -> None:
    with pytest.raises(ContractError, match=f"Field '{field}' has already been set"):
        request("sqladmin", "v1", "sql.instances.insert", body)


@pytest.mark.parametrize("name", ["user_label", "user_Labels", "User_labels", "user__labels", "user-labels"])
def test_other_names_stay_unknown(name: str) -> None:
    with pytest.raises(ContractError, match=f"Unknown name \"{name}\" at 'settings': Cannot find field"):
        request("sqladmin", "v1", "sql.instances.insert", {"settings": {name: {}}})


def test_storage_has_names_of_json_only() -> None:
    with pytest.raises(ContractError, match='Unknown name "storage_class"'):
        request("storage", "v1", "storage.buckets.insert", {"storage_class": "STANDARD"})


def test_output_only_fields_in_snake_case_are_dropped() -> None:
    body = {"create_time": "2020-01-01T00:00:00Z", "version_aliases": {"my_alias": "1"}}
    result = request("secretmanager", "v1", "secretmanager.projects.secrets.patch", body)
    assert result == {"versionAliases": {"my_alias": "1"}}


@pytest.mark.parametrize(
    ("api", "version", "method", "mask", "expected"),
    [
        ("secretmanager", "v1", "projects.secrets.patch", "version_aliases, labels", "versionAliases,labels"),
        ("secretmanager", "v1", "projects.secrets.patch", "labels.my_key,rotation.next_rotation_time",
         "labels.my_key,rotation.nextRotationTime"),
        ("secretmanager", "v1", "projects.secrets.patch", "no_such_field", "no_such_field"),
        ("secretmanager", "v1", "projects.secrets.patch", "*", "*"),
    ],
)  # fmt: skip
def test_update_masks_in_the_query(api: str, version: str, method: str, mask: str, expected: str) -> None:
    loaded = contract.load(api, version)
    match = loaded.match("PATCH", "/v1/projects/p/secrets/s")
    assert match is not None
    assert match.method.id == f"{api}.{method}"
    assert loaded.parameters(match, [("updateMask", mask)])["updateMask"] == expected


def test_update_masks_in_the_body() -> None:
    body = {"service_account": {"display_name": "x"}, "update_mask": "display_name"}
    assert request("iam", "v1", "iam.projects.serviceAccounts.patch", body) == {
        "serviceAccount": {"displayName": "x"}, "updateMask": "displayName",
    }  # fmt: skip
    body = {"policy": {"audit_configs": []}, "updateMask": "audit_configs,etag"}
    assert request("iam", "v1", "iam.projects.serviceAccounts.setIamPolicy", body)["updateMask"] == "auditConfigs,etag"


def test_answers_have_the_names_of_json(call: Call) -> None:
    body = {"replication": {"user_managed": {"replicas": [{"location": "europe-west1"}]}}, "labels": {"my_app": "x"}}
    made = call("POST", f"{SECRETS}?secret_id=a", json=body)
    assert made["replication"] == {"userManaged": {"replicas": [{"location": "europe-west1"}]}}
    assert made["labels"] == {"my_app": "x"}
    changed = call("PATCH", f"{SECRETS}/a?update_mask=version_destroy_ttl", json={"version_destroy_ttl": "86400s"})
    assert changed["versionDestroyTtl"] == "86400s"
    assert call("GET", f"{SECRETS}?page_size=1")["secrets"][0]["labels"] == {"my_app": "x"}


def test_a_parameter_in_both_spellings(call: Call) -> None:
    error = call("GET", f"{SECRETS}?page_size=1&pageSize=2", 400)["error"]
    assert "Field 'pageSize' has already been set" in error["message"]


def test_a_network_in_snake_case(local: Local, call: Call) -> None:
    body = {"name": "own", "auto_create_subnetworks": False, "routing_config": {"routing_mode": "GLOBAL"}}
    operation = call("POST", f"{COMPUTE}/global/networks", json=body)
    local.cloud.operations.wait(operation["name"], 10)
    network = call("GET", f"{COMPUTE}/global/networks/own")
    assert (network["autoCreateSubnetworks"], network["routingConfig"]["routingMode"]) == (False, "GLOBAL")


def test_path_fields_in_the_body(call: Call) -> None:
    """Google's own clients repeat path fields in the body."""
    call("POST", f"{SECRETS}?secretId=a", json={"replication": {"automatic": {}}})
    call(
        "POST",
        f"{SECRETS}/a:addVersion",
        json={"parent": "projects/mlflow-local/secrets/a", "payload": {"data": "eA=="}},
    )
