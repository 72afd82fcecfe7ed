# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The formats of values in requests match Google's documentation."""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

import googleapiclient
import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _formats
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._formats import wrong_options

from tests.unit.harness import Cloud, Play

DOCUMENTS = pathlib.Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"


def contract(api: str) -> Any:
    return json.loads((DOCUMENTS / f"{api}.json").read_text())


def test_patterns_match_the_contract() -> None:
    document = contract("compute.v1")
    for kind in ("Address", "Disk", "Firewall", "Image", "Instance", "Network", "Subnetwork"):
        assert document["schemas"][kind]["properties"]["name"]["pattern"] == _formats.NAME
    assert document["schemas"]["Tags"]["properties"]["items"]["pattern"] == _formats.NAME
    keys = document["schemas"]["Metadata"]["properties"]["items"]["items"]["properties"]["key"]
    assert keys["pattern"] == _formats.METADATA_KEY
    parameters = document["resources"]["instances"]["methods"]["get"]["parameters"]
    assert parameters["project"]["pattern"] == _formats.PROJECT
    assert re.fullmatch(parameters["zone"]["pattern"], "europe-west1-b")


def test_labels_match_the_description_of_secret_manager() -> None:
    said = contract("secretmanager.v1")["schemas"]["Secret"]["properties"]["labels"]["description"]
    for part in (r"\p{Ll}\p{Lo}{0,62}", r"[\p{Ll}\p{Lo}\p{N}_-]{0,63}", "128 bytes", "64 labels"):
        assert part in said


LABELS: dict[str, tuple[Any, str]] = {
    "usual": ({"app": "mlflow", "team": "data-science_2"}, ""),
    "empty value": ({"app": "mlflow", "team": ""}, ""),
    "number": ({"app": "mlflow", "year": 2026}, ""),
    "international": ({"équipe": "données", "漢字": "é"}, ""),
    "longest": ({"k" * 63: "v" * 63}, ""),
    "most": ({f"k{n}": "v" for n in range(64)}, ""),
    "space": ({"app": "mlflow", "team": "Data Science"}, "value 'Data Science' of key 'team'"),
    "boolean": ({"production": True}, "value true of key 'production': it is a boolean and not a text; write it in q"),
    "null": ({"team": None}, "value null of key 'team': it has no value"),
    "fraction": ({"version": 1.5}, "value 1.5 of key 'version'"),
    "list": ({"team": ["a"]}, "of key 'team': it is a list"),
    "mapping": ({"team": {"a": "b"}}, "of key 'team': it is a mapping"),
    "line break": ({"team": "a\n"}, r"value 'a\n' of key 'team'"),
    "trailing blank": ({"team": "a "}, "value 'a ' of key 'team'"),
    "upper-case key": ({"Team": "a"}, "key 'Team'"),
    "upper-case international": ({"É": "a"}, "key 'É'"),
    "digit first": ({"1team": "a"}, "key '1team'"),
    "empty key": ({"": "a"}, "key ''"),
    "boolean key": ({True: "a"}, "key true"),
    "slash": ({"a/b": "c"}, "key 'a/b'"),
    "long key": ({"k" * 64: "v"}, "key 'kkk"),
    "long value": ({"k": "v" * 64}, "of key 'k'"),
    "bytes": ({"k": "é" * 63}, ""),
    "more than 128 bytes": ({"k": "チ" * 43}, "of key 'k'"),
    "kept by Google": ({"goog-team": "a"}, "Google reserves"),
    "too many": ({f"k{n}": "v" for n in range(65)}, "65 keys"),
    "text": ("app=mlflow", "must be a mapping"),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels(case: str) -> None:
    """Labels with a space, a boolean or an upper-case key were refused after the network was created."""
    value, wrong = LABELS[case]
    said = _formats.labels(value)
    assert wrong in said if wrong else said == "", said


GOOD: dict[str, list[Any]] = {
    "name": ["a", "e2-custom-2-4096", "a" * 63],
    "project": ["my-project", "example.com:my-project"],
    "region": ["europe-west1", "northamerica-northeast2"],
    "zone": ["me-central2-a"],
    "location": ["EU", "EUROPE-WEST1", "eur4", "asia1", "northamerica-northeast1"],
    "bucket": ["my-bucket", "a.b.example.com", "x" * 63, f"{'a' * 63}.{'b' * 63}", 12345],
    "secret_id": ["A_b-1", "x" * 255],
    "account_id": ["mlflow-server", "a12345", "a@b.iam.gserviceaccount.com"],
    "tier": ["db-f1-micro", "db-custom-1-3840", "db-perf-optimized-N-2"],
    "database_version": ["POSTGRES_17", "POSTGRES_9_6"],
    "time_of_day": ["00:00", "23:59"],
    "unix_user": ["deployer", "_x", "a" * 32],
    "disk_size": [10, "30", 65536],
    "soft_delete": [0, 604800, "7776000"],
    "subnetwork_range": ["10.128.0.0/20", "192.168.0.0/29"],
    "cidr": ["0.0.0.0/0", "203.0.113.7/32"],
    "public_key": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB== me@host of mine"],
    "database_flags": [{"max_connections": 200, "log_lock_waits": True, "cloudsql.iam_authentication": "on"}],
    "role": ["roles/logging.logWriter", "projects/p/roles/mine", "organizations/1/roles/mine"],
    "member": ["allUsers", "user:a@b.c", "deleted:serviceAccount:a@b.c?uid=1", "principal://iam.googleapis.com/x"],
    "object_name": ["a b/ü", "x" * 1024],
    "service": ["compute.googleapis.com"],
    "metadata": [{"enable-oslogin": "FALSE", "x": True}],
}
BAD: dict[str, list[Any]] = {
    "name": ["", "A", "a-", "-a", "1a", "a b", "a\n", " a", "ä", "a" * 64, None, True, 1.5, ["a"]],
    "project": ["short", "My-project", "my-project-", "my-project\n", "x" * 31, "", None, False],
    "region": ["europe", "europe-west1-b", "Europe-west1", "europe-west1\n", ""],
    "zone": ["europe-west1", "europe-west1-bb", "europe-west1-b "],
    "location": ["", "E", "europe west1", "EU\n", True],
    "bucket": [
        "ab",
        "UPPER",
        "-ab",
        "ab-",
        "a" * 64,
        "a..b",
        "192.168.1.1",
        "goog-x",
        "my-google-x",
        "a\n",
        "ä-ä",
        None,
    ],
    "secret_id": ["", "a.b", "x" * 256, "a\n", "ü"],
    "account_id": ["short", "Mlflow-server", "1mlflow", "x" * 31, "mlflow-server-"],
    "tier": ["e2-small", "", "db-", "db-custom 1"],
    "database_version": ["17", "postgres_17", "POSTGRES_", 17],
    "time_of_day": ["2:00", "24:00", "02:60", "02:00:00", "02:00\n", 720, "", None],
    "unix_user": ["", "root", "1a", "a b", "Deployer", "a" * 33, "a:b", "a\n", True],
    "disk_size": [9, 65537, "", "ten", True, None, 10.5],
    "soft_delete": [1, 604799, 7776001, -1],
    "subnetwork_range": ["10.128.0.0", "10.128.0.1/20", "10.128.0.0/30", "127.0.0.0/8", "fd00::/64", "", None, 10],
    "cidr": ["10.0.0.1/8", "::/0", "10.0.0.0/33", "10.0.0.0/8 ", "10.0.0.0/255.0.0.0", "0/0"],
    "public_key": ["", "AAAA", "ssh-ed25519", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB\nother:ssh-rsa AAAA", "ssh-dss AAAA"],
    "database_flags": [{"Max": 1}, {"a": None}, {"a": ""}, {"a": "b\nc"}, {"a": [1]}, "a=b", None],
    "role": ["logging.logWriter", "roles/", "roles/a b", "roles/x\n"],
    "member": ["a@b.c", "user:", "robot:x", "user:a@b.c\n", ""],
    "object_name": ["", "a\nb", ".", "x" * 1025],
    "service": ["compute", "compute.googleapis.com/", ""],
    "metadata": [{"a b": "x"}, {"a": None}, {"": "x"}],
}


def cases(table: dict[str, list[Any]]) -> list[Any]:
    return [pytest.param(kind, value, id=f"{kind}-{value!r:.40}") for kind, values in table.items() for value in values]


@pytest.mark.parametrize(("kind", "value"), cases(GOOD))
def test_valid_values_are_accepted(kind: str, value: Any) -> None:
    assert getattr(_formats, kind)(value) == ""


@pytest.mark.parametrize(("kind", "value"), cases(BAD))
def test_invalid_values_are_refused(kind: str, value: Any) -> None:
    assert getattr(_formats, kind)(value) != ""


def test_a_module_names_the_option_and_the_key() -> None:
    params = {"settings": {"user_labels": {"Team": "a"}}, "name": "x", "labels": None}
    formats = {"settings.user_labels": _formats.labels, "name": _formats.name, "labels": _formats.labels}
    said = wrong_options(params, formats)
    assert len(said) == 1
    assert said[0].startswith("settings.user_labels: key 'Team': a label's key")


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("check", [True, False])
def test_a_module_refuses_a_malformed_value_before_any_request(cloud: Cloud, play: Play, check: bool) -> None:
    from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_secret

    result = play(gcp_secret, check=check, fails=True, name="one", labels={"team": "Data Science"})
    assert "labels: value 'Data Science' of key 'team'" in result["msg"]
    assert cloud.requests == []
