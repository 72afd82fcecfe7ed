# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_dns_name_info

from tests.unit.harness import Cloud, FakeClock, Play

ZONE_PATH = "projects/my-project/managedZones/example-com"
ZONE: dict[str, Any] = {"name": "example-com", "dnsName": "Example.com."}
SET: dict[str, Any] = {"name": "mlflow.example.com.", "type": "A", "ttl": 300, "rrdatas": ["192.0.2.1"]}
DISABLED = [{"reason": "SERVICE_DISABLED", "metadata": {"service": "dns.googleapis.com"}}]


def run(play: Play, **params: Any) -> dict[str, Any]:
    return play(gcp_dns_name_info, **{"zone": "example-com", "name": "MLflow.example.com", **params})


def test_lists_the_record_sets_of_every_page(cloud: Cloud, play: Play) -> None:
    cloud.get("dns", ZONE_PATH, ZONE)
    query = {"name": "mlflow.example.com."}
    cloud.get("dns", f"{ZONE_PATH}/rrsets", {"rrsets": [SET], "nextPageToken": "2"}, query=query)
    text = SET | {"type": "TXT"}
    cloud.get("dns", f"{ZONE_PATH}/rrsets", {"rrsets": [text]}, query=query | {"pageToken": "2"})
    result = run(play)
    assert (result["api_enabled"], result["zone"], result["in_zone"]) == (True, ZONE, True)
    assert result["record_sets"] == [SET, text]
    assert not result["changed"]


def test_a_name_outside_the_zone_has_no_records(cloud: Cloud, play: Play) -> None:
    cloud.get("dns", ZONE_PATH, ZONE)
    result = run(play, name="mlflow.example.org")
    assert (result["zone"], result["in_zone"], result["record_sets"]) == (ZONE, False, [])


def test_a_zone_that_does_not_exist(cloud: Cloud, play: Play) -> None:
    cloud.get("dns", ZONE_PATH, None)
    result = run(play)
    assert (result["api_enabled"], result["zone"], result["in_zone"], result["record_sets"]) == (True, None, False, [])


def test_knows_nothing_where_the_api_is_not_enabled(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    cloud.fails("GET", "dns", ZONE_PATH, 403, "accessNotConfigured", details=DISABLED)
    cloud.get("serviceusage", "v1/projects/my-project/services/dns.googleapis.com", {"state": "DISABLED"})
    result = run(play)
    assert (result["api_enabled"], result["zone"]) == (False, None)
    assert not clock.sleeps


def test_a_forbidden_zone_is_not_an_absent_zone(cloud: Cloud, play: Play) -> None:
    cloud.fails("GET", "dns", ZONE_PATH, 403, "forbidden", "Forbidden")
    message = run(play, fails=True)["msg"]
    assert "Cannot read managed zone example-com and the records of MLflow.example.com in project my-project" in message
    assert "roles/dns.admin on this zone" in message
