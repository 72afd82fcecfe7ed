# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The check result of the authentication."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import responses
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.authentication import authentication
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.results import NotCheckedError

from tests.unit.module_utils._doctor.harness import SEARCH, endpoint


def respond(server: responses.RequestsMock, without: int, with_password: int, **options: Any) -> None:
    server.post(SEARCH, status=without, json={})

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        assert str(request.headers["Authorization"]).startswith("Basic ")
        return with_password, options.get("headers", {}), options.get("body", "{}")

    if with_password:
        server.add_callback("POST", SEARCH, callback=answer)


def test_authentication(server: responses.RequestsMock) -> None:
    respond(server, 401, 200)
    result = authentication(endpoint())
    assert (result.state, result.value) == ("ok", "401 without a password, 200 as admin")


def test_a_server_without_authentication_fails(server: responses.RequestsMock) -> None:
    respond(server, 200, 0)
    result = authentication(endpoint())
    assert (result.state, result.value) == ("fail", "the server accepts requests without a password (HTTP 200)")
    assert "infrastructure_client_source_ranges" in result.remedy


@pytest.mark.parametrize(("without", "with_password"), [(302, 0), (401, 302)])
def test_a_redirect_is_no_success(server: responses.RequestsMock, without: int, with_password: int) -> None:
    respond(server, without, with_password)
    with pytest.raises(NotCheckedError, match=": HTTP 302"):
        authentication(endpoint())


def test_the_administrator_is_refused(server: responses.RequestsMock) -> None:
    respond(server, 401, 401)
    with pytest.raises(NotCheckedError, match="as admin: HTTP 401") as error:
        authentication(endpoint())
    assert "configure.yml" in error.value.remedy


@pytest.mark.parametrize("status", [401, 403, 302])
def test_an_own_application_must_refuse_requests_without_a_credential(
    server: responses.RequestsMock, status: int
) -> None:
    respond(server, status, 0)
    result = authentication(endpoint(username="", password=""))
    assert (result.state, result.value.split(";")[0]) == ("ok", f"{status} without a credential")


def test_an_own_application_that_accepts_everybody_fails(server: responses.RequestsMock) -> None:
    respond(server, 200, 0)
    assert authentication(endpoint(username="", password="")).state == "fail"


def test_an_own_application_that_does_not_answer_is_not_checked(server: responses.RequestsMock) -> None:
    respond(server, 500, 0)
    with pytest.raises(NotCheckedError, match="without a credential, expected HTTP 401: HTTP 500"):
        authentication(endpoint(username="", password=""))
