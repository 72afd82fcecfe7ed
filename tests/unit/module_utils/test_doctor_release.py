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
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _doctor_release as doctor
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor_rows import Row, UnexaminedError
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


def examine(*accepted: str) -> Row:
    return doctor.advisories(requests.Session(), URL, PACKAGES, accepted)


def found(*keys: str) -> dict[str, Any]:
    return {"vulns": [{"id": key, "modified": "2026-01-01T00:00:00Z"} for key in keys]}


def test_nothing_is_known(osv: responses.RequestsMock) -> None:
    answers(osv, {}, {})
    assert examine() == Row("advisories", "ok", "2 packages, no known vulnerability")


def test_a_moderate_one_warns(osv: responses.RequestsMock) -> None:
    answers(osv, found("GHSA-1"), {})
    detail(osv, "GHSA-1", "MODERATE", "CVE-2026-1", "PYSEC-1")
    row = examine()
    assert row.state == "warn"
    assert row.value == "1 in 2 packages (0 high or critical): CVE-2026-1 (flask, moderate)"
    assert "playbooks/upgrade.yml" in row.remedy
    assert "doctor_advisories_accepted" in row.remedy


def test_a_serious_one_fails_and_comes_first(osv: responses.RequestsMock) -> None:
    answers(osv, found("GHSA-1"), found("GHSA-2", "GHSA-1"))
    detail(osv, "GHSA-1", "LOW")
    detail(osv, "GHSA-2", "CRITICAL", "CVE-2026-2")
    row = examine()
    assert row.state == "fail"
    told = "CVE-2026-2 (mlflow, critical), GHSA-1 (flask, mlflow, low)"
    assert row.value == f"2 in 2 packages (1 high or critical): {told}"


@pytest.mark.parametrize("accepted", ["GHSA-2", "CVE-2026-2"])
def test_an_accepted_one_does_not_count(osv: responses.RequestsMock, accepted: str) -> None:
    answers(osv, {}, found("GHSA-2"))
    detail(osv, "GHSA-2", "CRITICAL", "CVE-2026-2")
    row = examine(accepted)
    assert (row.state, row.value) == ("ok", "2 packages, no known vulnerability, 1 accepted or withdrawn")


def test_a_withdrawn_one_does_not_count(osv: responses.RequestsMock) -> None:
    answers(osv, {}, found("GHSA-2"))
    detail(osv, "GHSA-2", "CRITICAL", withdrawn="2026-02-01T00:00:00Z")
    assert examine().state == "ok"


def test_every_page_is_read(osv: responses.RequestsMock) -> None:
    answers(osv, found("GHSA-1") | {"next_page_token": "more"}, {})
    again = {"queries": [query("flask", "3.0.0", "more")]}
    matches = [matchers.json_params_matcher(again)]
    osv.post(f"{URL}/v1/querybatch", match=matches, json={"results": [found("GHSA-3")]})
    detail(osv, "GHSA-1", "LOW")
    detail(osv, "GHSA-3", "")
    assert examine().value.startswith("2 in 2 packages")


def test_many_packages_are_asked_in_several_requests(osv: responses.RequestsMock) -> None:
    sizes = []

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        queries = json.loads(request.body or "")["queries"]
        sizes.append(len(queries))
        return 200, {}, json.dumps({"results": [{} for _ in queries]})

    osv.add_callback("POST", f"{URL}/v1/querybatch", callback=answer)
    packages = {f"package-{n}": "1" for n in range(700)}
    assert doctor.advisories(requests.Session(), URL, packages, []).state == "ok"
    assert sizes == [500, 200]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"body": requests.ConnectionError("no name")}, "does not answer"),
        ({"status": 503}, "does not answer"),
        ({"body": "<html>sign in to the network</html>"}, "does not answer"),
        ({"json": {"results": []}}, "0 results for 2 queries"),
        ({"json": {"something": "else"}}, "in another form"),
        ({"json": ["else"]}, "in another form"),
    ],
)
def test_a_service_that_is_none_is_a_warning(osv: responses.RequestsMock, answer: dict[str, Any], reason: str) -> None:
    osv.post(f"{URL}/v1/querybatch", **answer)
    with pytest.raises(UnexaminedError, match=reason) as error:
        examine()
    assert error.value.state == "warn"
    assert "doctor_advisories_url" in error.value.remedy


@pytest.mark.parametrize(
    ("version", "state"), [("3.16.0", "ok"), ("3.17.2", "ok"), ("4.0.0rc1", "ok"), ("3.9.2", "fail")]
)
def test_release(version: str, state: str) -> None:
    row = doctor.release(version, "3.16.0")
    assert row.state == state
    assert ("playbooks/upgrade.yml" in row.remedy) == (state != "ok")


def test_release_where_any_may_be_exposed() -> None:
    assert doctor.release("3.17.2", "") == Row("release", "ok", "MLflow 3.17.2")


def test_release_of_unknown_version() -> None:
    with pytest.raises(UnexaminedError):
        doctor.release("", "3.16.0")
