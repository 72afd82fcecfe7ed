# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_sql_instance_info

from tests.unit.harness import Cloud, FakeClock, Play

ONE = "v1/projects/my-project/instances/db"
CAS = f"{ONE}/listServerCas"
USAGE = "v1/projects/my-project/services/sqladmin.googleapis.com"
DISABLED = [{"reason": "SERVICE_DISABLED", "metadata": {"service": "sqladmin.googleapis.com"}}]
OLD, NEW = (f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----" for text in ("b2xk", "bmV3"))
INSTANCE: dict[str, Any] = {
    "name": "db",
    "state": "RUNNABLE",
    "serverCaCert": {"cert": OLD},
    "settings": {"activationPolicy": "ALWAYS"},
}


def authority(certificate: str, year: int) -> dict[str, str]:
    return {"cert": certificate, "createTime": f"{year}-01-01T00:00:00Z", "sha1Fingerprint": str(year)}


def lists(cloud: Cloud, *authorities: dict[str, str]) -> None:
    cloud.get("sql", CAS, {"certs": list(authorities)} if authorities else {})


def test_one_authority_stays_as_it_is(cloud: Cloud, play: Play) -> None:
    """A secret with this value needs no new version because of a line feed."""
    cloud.get("sql", ONE, INSTANCE)
    lists(cloud, authority(OLD, 2025))
    result = play(gcp_sql_instance_info, name="db")
    assert not result["changed"]
    assert result["resource"] == INSTANCE
    assert result["server_ca_bundle"] == OLD


@pytest.mark.parametrize("turn", [1, -1])
def test_all_authorities_are_told_in_one_order(cloud: Cloud, play: Play, turn: int) -> None:
    """Only the active CA was trusted. After a rotation of the CA no new connection succeeded."""
    cloud.get("sql", ONE, INSTANCE)
    lists(cloud, *[authority(OLD, 2025), authority(NEW, 2026)][::turn])
    assert play(gcp_sql_instance_info, name="db")["server_ca_bundle"] == f"{OLD}\n{NEW}\n"


def test_in_check_mode_too_and_before_there_is_one(cloud: Cloud, play: Play) -> None:
    cloud.get("sql", ONE, None)
    result = play(gcp_sql_instance_info, check=True, name="db")
    assert result["resource"] is None
    assert result["server_ca_bundle"] is None
    cloud.get("sql", ONE, {"name": "db", "state": "PENDING_CREATE"})
    assert play(gcp_sql_instance_info, check=True, name="db")["server_ca_bundle"] is None


def test_knows_nothing_where_the_api_is_not_enabled(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    for _ in range(2):
        cloud.fails("GET", "sql", ONE, 403, "accessNotConfigured", details=DISABLED)
        cloud.get("serviceusage", USAGE, {"state": "DISABLED"})
    assert play(gcp_sql_instance_info, name="db")["resource"] is None
    told = play(gcp_sql_instance_info, fails=True, name="db", require_running=True)["msg"]
    assert "gcloud services enable sqladmin.googleapis.com" in told


@pytest.mark.parametrize(
    ("instance", "words"),
    [
        (None, ["Cannot find Cloud SQL instance db in project my-project", "ansible-playbook site.yml"]),
        (
            INSTANCE | {"settings": {"activationPolicy": "NEVER"}},
            [
                "Cloud SQL instance db is stopped (state RUNNABLE, activationPolicy NEVER)",
                "ansible-playbook site.yml",
                "`gcloud sql instances patch db --activation-policy=ALWAYS --project=my-project`",
            ],
        ),
        (INSTANCE | {"state": "MAINTENANCE"}, ["Cloud SQL instance db is in state MAINTENANCE", "run again later"]),
        (INSTANCE | {"state": "SUSPENDED"}, ["Cloud SQL instance db is in state SUSPENDED", "console"]),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_an_instance_that_does_not_run_is_reported_with_a_remedy(
    cloud: Cloud, play: Play, check: bool, instance: dict[str, Any] | None, words: list[str]
) -> None:
    cloud.get("sql", ONE, instance)
    told = play(gcp_sql_instance_info, check=check, fails=True, name="db", require_running=True)["msg"]
    assert [word for word in words if word not in told] == []
