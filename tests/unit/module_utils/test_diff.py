# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Layer 3 without a module: the diffs of a convergence."""

from __future__ import annotations

import pytest
import requests
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._client import Client

from tests.unit.harness import Cloud, FakeClock
from tests.unit.module_utils.box import ONE, box, there


@pytest.fixture
def client(clock: FakeClock) -> Client:
    return Client(requests.Session(), timeout=600, clock=clock, rand=lambda: 1.0, environ={})


def test_the_diff_shows_the_removed_parts(cloud: Cloud, client: Client) -> None:
    disk = {"diskType": "ssd", "sizeGb": "10"}
    cloud.get("compute", ONE, there(ranges=["c", "b", "a"], rule={"days": 1, "isLive": False}, disk=disk))
    changes = {"ranges": ["b", "a"], "rule": {"days": 1}, "disk": {"disk_type": "hdd"}}
    result = box(client, check=True, **changes).converge("present")
    # The service adds no keys to an exact structure, so an additional key is a difference.
    before = {"ranges": ["a", "b", "c"], "rule": {"days": 1, "isLive": False}, "disk": {"diskType": "ssd"}}
    assert result.diff["before"] == before
    assert result.diff["after"] == {"ranges": ["a", "b"], "rule": {"days": 1}, "disk": {"diskType": "hdd"}}


def test_the_diff_shows_equal_parts_in_the_same_order(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, there(ranges=[{"ports": ["2", "1"]}, {"ports": ["3"]}]))
    result = box(client, check=True, ranges=[{"ports": ["1", "2"]}]).converge("present")
    assert result.diff["before"] == {"ranges": [{"ports": ["1", "2"]}, {"ports": ["3"]}]}
    assert result.diff["after"] == {"ranges": [{"ports": ["1", "2"]}]}


def test_the_diff_of_a_deletion_hides_secrets(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, there(size="2", token="secret", note="x", place={"zone": "z"}))
    result = box(client, check=True).converge("absent")
    assert result.changed is True
    before = {"size": "2", "token": "(hidden)", "note": "(hidden)", "place": {"zone": "z"}}
    assert result.diff == {"before": before, "after": {}, "before_header": "box b", "after_header": "box b"}


def test_the_diff_of_a_deletion_without_fields_has_the_name(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, there())
    assert box(client, check=True).converge("absent").diff["before"] == {"name": "b"}


def test_the_diff_of_a_creation(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, None)
    result = box(client, check=True, ranges=["b", "a", "b"], note="x", image="i").converge("present")
    after = {"ranges": ["a", "b"], "note": "(hidden)", "image": "i"}
    assert result.diff == {"before": {}, "after": after, "before_header": "box b", "after_header": "box b"}
    assert result.resource == {"name": "b", "ranges": ["b", "a", "b"], "image": "i"}
    assert result.pending is False


def test_the_diff_of_a_creation_without_options_has_the_name(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, None)
    assert box(client, check=True).converge("present").diff["after"] == {"name": "b"}
