# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check results of the doctor for the release and its packages, with a scripted OSV service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import responses
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor import release
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.results import CheckResult, NotCheckedError
from responses import matchers

URL = "https://osv.example.com"
PACKAGES = {"flask": "3.0.0", "mlflow": "3.17.2"}


@pytest.fixture
def osv() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def query(name: str, version: str, token: str = "") -> dict[str, Any]:
    asked: dict[str, Any] = {"package": {"ecosystem": "PyPI", "name": name}, "version": version}
    return asked | ({"page_token": token} if token else {})


def answers(osv: responses.RequestsMock, *results: dict[str, Any]) -> None:
    queries = [query(name, version) for name, version in PACKAGES.items()]
    osv.post(
        f"{URL}/v1/querybatch",
        match=[matchers.json_params_matcher({"queries": queries})],
        json={"results": list(results)},
    )


def detail(osv: responses.RequestsMock, key: str, severity: str, *aliases: str, **more: Any) -> None:
    document = {"id": key, "aliases": list(aliases), "database_specific": {"severity": severity}, **more}
    osv.get(f"{URL}/v1/vulns/{key}", json=document)


def check(*accepted: str) -> CheckResult:
    return release.advisories(requests.Session(), URL, PACKAGES, accepted)


def found(*keys: str) -> dict[str, Any]:
    return {"vulns": [{"id": key, "modified": "2026-01-01T00:00:00Z"} for key in keys]}


def test_no_advisory(osv: responses.RequestsMock) -> None:
    answers(osv, {}, {})
    assert check() == CheckResult("advisories", "ok", "2 packages, no known vulnerability")


def test_a_moderate_advisory_warns(osv: responses.RequestsMock) -> None:
    answers(osv, found("GHSA-1"), {})
    detail(osv, "GHSA-1", "MODERATE", "CVE-2026-1", "PYSEC-1")
    result = check()
    assert result.state == "warn"
    assert result.value == "1 in 2 packages (0 high or critical): CVE-2026-1 (flask, moderate)"
    assert "playbooks/upgrade.yml" in result.remedy
    assert "doctor_advisories_accepted" in result.remedy


def test_a_serious_advisory_fails_and_comes_first(osv: responses.RequestsMock) -> None:
    answers(osv, found("GHSA-1"), found("GHSA-2", "GHSA-1"))
    detail(osv, "GHSA-1", "LOW")
    detail(osv, "GHSA-2", "CRITICAL", "CVE-2026-2")
    result = check()
    assert result.state == "fail"
    listed = "CVE-2026-2 (mlflow, critical), GHSA-1 (flask, mlflow, low)"
    assert result.value == f"2 in 2 packages (1 high or critical): {listed}"


@pytest.mark.parametrize("accepted", ["GHSA-2", "CVE-2026-2"])
def test_an_accepted_advisory_does_not_count(osv: responses.RequestsMock, accepted: str) -> None:
    answers(osv, {}, found("GHSA-2"))
    detail(osv, "GHSA-2", "CRITICAL", "CVE-2026-2")
    result = check(accepted)
    assert (result.state, result.value) == ("ok", "2 packages, no known vulnerability, 1 accepted or withdrawn")


def test_a_withdrawn_advisory_does_not_count(osv: responses.RequestsMock) -> None:
    answers(osv, {}, found("GHSA-2"))
    detail(osv, "GHSA-2", "CRITICAL", withdrawn="2026-02-01T00:00:00Z")
    assert check().state == "ok"


def test_every_page_is_read(osv: responses.RequestsMock) -> None:
    answers(osv, found("GHSA-1") | {"next_page_token": "more"}, {})
    again = {"queries": [query("flask", "3.0.0", "more")]}
    matches = [matchers.json_params_matcher(again)]
    osv.post(f"{URL}/v1/querybatch", match=matches, json={"results": [found("GHSA-3")]})
    detail(osv, "GHSA-1", "LOW")
    detail(osv, "GHSA-3", "")
    assert check().value.startswith("2 in 2 packages")


def test_many_packages_are_asked_in_several_requests(osv: responses.RequestsMock) -> None:
    sizes = []

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        queries = json.loads(request.body or "")["queries"]
        sizes.append(len(queries))
        return 200, {}, json.dumps({"results": [{} for _ in queries]})

    osv.add_callback("POST", f"{URL}/v1/querybatch", callback=answer)
    packages = {f"package-{n}": "1" for n in range(700)}
    assert release.advisories(requests.Session(), URL, packages, []).state == "ok"
    assert sizes == [500, 200]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"body": requests.ConnectionError("no name")}, "does not answer"),
        ({"status": 503}, "does not answer"),
        ({"body": "<html>sign in to the network</html>"}, "does not answer"),
        ({"json": {"results": []}}, "0 results for 2 queries"),
        ({"json": {"something": "else"}}, "unexpected response"),
        ({"json": ["else"]}, "unexpected response"),
    ],
)
def test_a_service_that_is_not_osv_is_a_warning(
    osv: responses.RequestsMock, answer: dict[str, Any], reason: str
) -> None:
    osv.post(f"{URL}/v1/querybatch", **answer)
    with pytest.raises(NotCheckedError, match=reason) as error:
        check()
    assert error.value.state == "warn"
    assert "doctor_advisories_url" in error.value.remedy


@pytest.mark.parametrize(
    ("version", "state"), [("3.16.0", "ok"), ("3.17.2", "ok"), ("4.0.0rc1", "ok"), ("3.9.2", "fail")]
)
def test_release(version: str, state: str) -> None:
    result = release.release(version, "3.16.0")
    assert result.state == state
    assert ("playbooks/upgrade.yml" in result.remedy) == (state != "ok")


def test_release_where_any_may_be_exposed() -> None:
    assert release.release("3.17.2", "") == CheckResult("release", "ok", "MLflow 3.17.2")


def test_release_of_unknown_version() -> None:
    with pytest.raises(NotCheckedError):
        release.release("", "3.16.0")
