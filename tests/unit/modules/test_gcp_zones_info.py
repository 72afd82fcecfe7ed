# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_zones_info

from tests.unit.harness import Cloud, FakeClock, Play

ZONES = "projects/my-project/zones"
USAGE = "v1/projects/my-project/services/compute.googleapis.com"
DISABLED = [{"reason": "SERVICE_DISABLED", "metadata": {"service": "compute.googleapis.com"}}]


def disabled(cloud: Cloud) -> None:
    cloud.fails("GET", "compute", ZONES, 403, "accessNotConfigured", details=DISABLED)


def test_lists_every_page(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ZONES, {"items": [{"name": "us-east1-b"}], "nextPageToken": "2"})
    cloud.get("compute", ZONES, {"items": [{"name": "europe-west1-b"}]}, query={"pageToken": "2"})
    result = play(gcp_zones_info)
    assert result["zones"] == ["europe-west1-b", "us-east1-b"]
    assert not result["changed"]


def test_knows_none_where_the_api_is_not_enabled(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    disabled(cloud)
    cloud.get("serviceusage", USAGE, {"state": "DISABLED"})
    assert play(gcp_zones_info)["zones"] is None
    assert not clock.sleeps


def test_waits_for_an_api_that_was_enabled_a_moment_ago(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    disabled(cloud)
    cloud.get("serviceusage", USAGE, {"state": "ENABLED"})
    cloud.get("compute", ZONES, {"items": [{"name": "us-east1-b"}]})
    assert play(gcp_zones_info)["zones"] == ["us-east1-b"]
    assert clock.sleeps


def test_another_error_is_told(cloud: Cloud, play: Play) -> None:
    cloud.fails("GET", "compute", ZONES, 403, "forbidden")
    assert "Cannot list the zones in project my-project" in play(gcp_zones_info, fails=True)["msg"]
