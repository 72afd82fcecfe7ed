# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of the application before a handler runs: contract, tokens, permissions, enabled APIs, faults, hosts."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.localcloud.harness import Local, Session

SECRETS = "/secretmanager/v1/projects/mlflow-local/secrets"
AUTOMATIC = {"replication": {"automatic": {}}}
Call = Callable[..., Any]


def violation(answer: Any) -> dict[str, str]:
    assert answer["error"]["status"] == "INVALID_ARGUMENT"
    detail = answer["error"]["details"][0]
    assert detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    found: dict[str, str] = detail["fieldViolations"][0]
    return found


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({**AUTOMATIC, "colour": "red"}, "colour", 'Unknown name "colour": Cannot find field.'),
        ({"replication": {"automatic": {"x": 1}}}, "replication.automatic.x", "at 'replication.automatic'"),
        ({**AUTOMATIC, "labels": ["a"]}, "labels", "does not fit type"),
        ({**AUTOMATIC, "labels": {"a": 1}}, "labels.a", "does not fit type"),
        ({**AUTOMATIC, "expireTime": "tomorrow"}, "expireTime", "does not fit pattern"),
        ({**AUTOMATIC, "versionAliases": {"a": "one"}}, "versionAliases.a", "does not fit pattern"),
    ],
)
def test_a_body_that_does_not_fit_is_refused(call: Call, body: Any, field: str, words: str) -> None:
    found = violation(call("POST", f"{SECRETS}?secretId=a", 400, json=body))
    assert found["field"] == field
    assert words in found["description"]


def test_a_wrong_enum_is_refused(call: Call) -> None:
    path = "/iam/v1/projects/mlflow-local/serviceAccounts/owner@mlflow-local.iam.gserviceaccount.com/keys"
    found = violation(call("POST", path, 400, json={"keyAlgorithm": "KEY_ALG_ED25519"}))
    assert found["field"] == "keyAlgorithm"
    assert "KEY_ALG_RSA_2048" in found["description"]
    # Some clients send enums as numbers.
    assert call("POST", path, json={"keyAlgorithm": 2})["keyAlgorithm"] == "KEY_ALG_RSA_2048"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("colour=red", "Cannot bind query parameter"),
        ("pageSize=many", "is not int32"),
        ("pageSize=99999999999", "is not between"),
    ],
)
def test_a_query_that_does_not_fit_is_refused(call: Call, query: str, words: str) -> None:
    assert words in violation(call("GET", f"{SECRETS}?{query}", 400))["description"]


def test_standard_parameters_are_accepted(call: Call) -> None:
    query = "alt=json&prettyPrint=false&quotaUser=x&%24.xgafv=2&%24alt=json%3Benum-encoding%3Dint&key=k"
    assert call("GET", f"{SECRETS}?{query}") == {"totalSize": 0}


@pytest.mark.parametrize("body", ["{", '{"ttl": NaN}', "[" * 100_000, b"\xff"], ids=["cut", "NaN", "deep", "bytes"])
def test_a_body_that_is_not_json_is_refused(call: Call, body: str | bytes) -> None:
    answer = call("POST", f"{SECRETS}?secretId=a", 400, data=body, headers={"Content-Type": "application/json"})
    assert "Invalid JSON payload received" in answer["error"]["message"]


def test_a_body_where_there_is_none_is_refused(call: Call) -> None:
    call("DELETE", f"{SECRETS}/a", 400, json={"force": True})


def test_a_compressed_body_is_read(call: Call) -> None:
    data = gzip.compress(json.dumps(AUTOMATIC).encode())
    call("POST", f"{SECRETS}?secretId=zipped", data=data, headers={"Content-Encoding": "gzip"})
    call("POST", f"{SECRETS}?secretId=zipped", 400, data=b"not", headers={"Content-Encoding": "gzip"})


@pytest.mark.parametrize(
    "path", ["/", "/secretmanager", "/secretmanager/v1/secrets", "/secretmanager/v9/projects/p/secrets"]
)
def test_a_path_that_google_lacks_is_404(call: Call, path: str) -> None:
    assert "was not found on this server" in call("GET", path, 404)


def test_a_verb_that_google_lacks_is_404(call: Call) -> None:
    call("PUT", SECRETS, 404, json={})


def test_a_method_without_a_handler_names_itself(call: Call) -> None:
    answer = call("GET", "/secretmanager/v1/projects/mlflow-local/locations", 501)
    assert answer["error"]["status"] == "UNIMPLEMENTED"
    assert "secretmanager.projects.locations.list" in answer["error"]["message"]


def test_an_answer_that_does_not_fit_is_ours_to_mend(local: Local, owner: Session) -> None:
    service = next(s for s in local.app.registry.services if s.name == "secretmanager")
    kept = service.bound["secretmanager.projects.secrets.list"]
    service.method("secretmanager.projects.secrets.list", permission=None)(lambda _: {"totalSize": "three"})
    try:
        answer = owner.call("GET", SECRETS, 500)
    finally:
        service.bound["secretmanager.projects.secrets.list"] = kept
    assert "totalSize" in answer["error"]["message"]
    assert "secretmanager.projects.secrets.list" in answer["error"]["message"]


def test_no_token_and_a_wrong_token_are_401(local: Local) -> None:
    for headers, reason in (({}, "CREDENTIALS_MISSING"), ({"Authorization": "Bearer ya29.x"}, "ACCESS_TOKEN_INVALID")):
        response = requests.get(local.url + SECRETS, headers=headers, timeout=10)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer realm=")
        assert response.json()["error"]["status"] == "UNAUTHENTICATED"
        assert response.json()["error"]["details"][0]["reason"] == reason


def test_an_expired_token_is_401(local: Local) -> None:
    email = "owner@mlflow-local.iam.gserviceaccount.com"
    token = local.cloud.auth.issue_access_token(email, ["https://www.googleapis.com/auth/cloud-platform"], -1).token
    response = requests.get(local.url + SECRETS, headers={"Authorization": f"Bearer {token}"}, timeout=10)
    assert response.status_code == 401


def test_no_permission_is_403_and_named(local: Local) -> None:
    stranger = local.session_as(local.account("stranger"))
    error = stranger.call("GET", SECRETS, 403)["error"]
    assert error["status"] == "PERMISSION_DENIED"
    assert "secretmanager.secrets.list" in error["message"]
    assert error["details"][0]["metadata"]["permission"] == "secretmanager.secrets.list"
    viewer = local.session_as(local.account("viewer", "roles/viewer"))
    viewer.call("GET", SECRETS)
    viewer.call("POST", f"{SECRETS}?secretId=a", 403, json=AUTOMATIC)


def test_a_scope_too_small_is_403(local: Local) -> None:
    email = local.account("small", "roles/secretmanager.admin")
    session = local.session_as(email, "https://www.googleapis.com/auth/devstorage.read_only")
    error = session.call("GET", SECRETS, 403)["error"]
    assert error["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"


def test_an_api_that_is_not_enabled_is_403(local: Local, call: Call) -> None:
    local.cloud.projects.disable("mlflow-local", "secretmanager.googleapis.com")
    error = call("GET", SECRETS, 403)["error"]
    detail = error["details"][0]
    assert (detail["reason"], detail["metadata"]["service"]) == ("SERVICE_DISABLED", "secretmanager.googleapis.com")
    assert detail["metadata"]["consumer"] == "projects/100000000001"
    assert "has not been used in project 100000000001 before or it is disabled" in error["message"]


def test_a_project_that_is_not_there_is_403(call: Call) -> None:
    call("GET", "/secretmanager/v1/projects/somebody-elses/secrets", 403)


def test_hosts_of_google_reach_the_same_api(local: Local, owner: Session) -> None:
    owner.call("GET", SECRETS.removeprefix("/secretmanager"), headers={"Host": "secretmanager.googleapis.com"})
    owner.call("GET", SECRETS.removeprefix("/secretmanager"), 404, headers={"Host": "iam.googleapis.com"})
    # VMs cannot use the routes of the control node.
    owner.call("GET", "/localcloud/health", 404, headers={"Host": "secretmanager.googleapis.com"})
    owner.call("GET", SECRETS, 404, headers={"Host": "secretmanager.googleapis.com"})


def test_scripted_faults(call: Call) -> None:
    script = {"method": "secretmanager.projects.secrets.list", "code": 503, "count": 2, "retry_after": "3"}
    call("POST", "/localcloud/faults", json=script)
    for _ in range(2):
        assert call("GET", SECRETS, 503)["error"]["status"] == "UNAVAILABLE"
    call("GET", SECRETS)
    call("POST", "/localcloud/faults", json={"method": "secretmanager.*.create", "code": 500, "after": True})
    call("POST", f"{SECRETS}?secretId=lost", 500, json=AUTOMATIC)
    call("GET", f"{SECRETS}/lost")
    for wrong in ({"colour": "red"}, {"code": "503"}, {"code": 200}, {"count": 0}, {"method": 7}, {"path": 7}):
        call("POST", "/localcloud/faults", 400, json={"method": "x", **wrong})


def test_a_profile_of_one_project_and_of_all(local: Local, call: Call) -> None:
    profile = "/localcloud/profile"
    assert call("GET", profile)["name"] == "none"
    google = call("PUT", profile, json={"name": "google", "scale": 0.5})
    assert (google["latency"], google["service_agents"], google["scale"]) == ("google", 60.0, 0.5)
    call("PUT", f"{profile}?project=slow", json={"service_agents": 8})
    local.restart()
    assert local.cloud.profiles.of("slow").seconds("service_agents") == 4.0
    assert local.cloud.profiles.of("mlflow-local").seconds("service_agents") == 30.0
    assert local.cloud.profiles.duration("slow", "sql.instances.insert") == 210.0
    for wrong in (
        {"name": "azure"},
        {"colour": 1},
        {"scale": "2"},
        {"scale": -1},
        {"sql_first_backup": 1},
        {"latency": "x"},
    ):
        call("PUT", profile, 400, json=wrong)
    call("PUT", f"{profile}?project=slow", json={"name": "none"})
    assert local.cloud.profiles.duration("slow", "sql.instances.insert") == 0.0


def test_a_fault_of_one_project_is_not_another_ones(call: Call) -> None:
    method = "secretmanager.projects.secrets.list"
    call("POST", "/localcloud/faults", json={"method": method, "path": "*/projects/another-project/*"})
    call("GET", SECRETS)
    call("POST", "/localcloud/faults", json={"method": method, "path": "*/projects/mlflow-local/*"})
    call("GET", SECRETS, 503)
    call("GET", SECRETS)


def test_administration_is_for_programs_on_the_control_host(owner: Session) -> None:
    for headers in (
        {"Host": "localhost.example.org"},
        {"Host": "127.example.org:8787"},
        {"Origin": "http://example.org"},
        {"Host": "localcloud.googleapis.com"},
        {"Host": "www.googleapis.com"},
    ):
        owner.call("GET", "/localcloud/health", 404, headers=headers)
    for host in ("localhost", "127.0.0.1:8787", "[::1]:8787"):
        owner.call("GET", "/localcloud/health", headers={"Host": host})
    owner.call("GET", "/health", 404, headers={"Host": "localcloud.googleapis.com"})
    owner.call("POST", "/localcloud/health", 404)
    owner.call("GET", "/localcloud/health", headers={"Authorization": "Bearer unknown"})
    owner.call("GET", "/localcloud/unknown", 404)


def test_a_cut_connection(local: Local, owner: Session) -> None:
    owner.call("POST", "/localcloud/faults", json={"method": "secretmanager.projects.secrets.list", "drop": True})
    with pytest.raises(requests.ConnectionError):
        owner.http.get(local.url + SECRETS)
    owner.call("GET", SECRETS)
    fault = {"method": "secretmanager.projects.secrets.create", "drop": True, "after": True}
    owner.call("POST", "/localcloud/faults", json=fault)
    with pytest.raises(requests.ConnectionError):
        owner.http.post(f"{local.url}{SECRETS}?secretId=unheard", json=AUTOMATIC)
    owner.call("GET", f"{SECRETS}/unheard")


def test_random_faults_repeat_with_their_seed(local: Local, owner: Session) -> None:
    def sequence() -> list[int]:
        owner.call("PUT", "/localcloud/faults/random", json={"seed": 7, "rate": 0.5, "codes": [503, 429]})
        # Not google-auth's session, which would retry.
        headers = {"Authorization": owner.http.credentials.token and f"Bearer {owner.http.credentials.token}"}
        codes = [requests.get(local.url + SECRETS, headers=headers, timeout=10).status_code for _ in range(20)]
        owner.call("DELETE", "/localcloud/faults")
        return codes

    owner.call("GET", SECRETS)
    first = sequence()
    assert set(first) == {200, 503, 429}
    assert sequence() == first


def test_random_faults_are_resets_and_lost_answers_too(local: Local, owner: Session) -> None:
    """The call log contains the client's status (0: a reset) and the handler's status."""
    owner.call("GET", SECRETS)
    headers = {"Authorization": f"Bearer {owner.http.credentials.token}"}
    faults = {"rate": 0.6, "codes": [429, 503, "reset"], "lost": 0.5, "method": "secretmanager.*.create"}
    owner.call("PUT", "/localcloud/faults/random", json={"seed": 5, **faults})
    owner.call("DELETE", "/localcloud/calls")
    got = []
    for number in range(40):
        with contextlib.suppress(requests.ConnectionError):
            url = f"{local.url}{SECRETS}?secretId=secret-{number}"
            got.append(requests.post(url, json=AUTOMATIC, headers=headers, timeout=10).status_code)
    calls = owner.call("GET", "/localcloud/calls")["calls"]
    assert {(call["status"], call["handled"]) for call in calls} == {
        (200, 200), (429, None), (503, None), (503, 200), (0, None), (0, 200),
    }  # fmt: skip
    assert [call["status"] for call in calls if call["status"]] == got
    owner.call("DELETE", "/localcloud/faults")
    made = {secret["name"] for secret in owner.call("GET", SECRETS)["secrets"]}
    assert made == {call["name"] for call in calls if call["handled"] == 200}


@pytest.mark.parametrize(
    "faults",
    [{}, {"rate": 2}, {"rate": 0.1, "codes": ["cut"]}, {"rate": 0.1, "codes": [200]}, {"rate": 0.1, "seeds": 1}],
)
def test_bad_random_faults_are_refused(owner: Session, faults: dict[str, Any]) -> None:
    owner.call("PUT", "/localcloud/faults/random", 400, json=faults)


def test_partial_responses(call: Call) -> None:
    call("POST", f"{SECRETS}?secretId=a", json=AUTOMATIC | {"labels": {"app": "x"}})
    answer = call("GET", f"{SECRETS}?fields=secrets(name,labels/app)")
    assert answer == {"secrets": [{"name": "projects/100000000001/secrets/a", "labels": {"app": "x"}}]}
    call("GET", f"{SECRETS}?fields=secrets(", 400)
