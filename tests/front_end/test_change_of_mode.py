# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A change of the mode while clients send requests: passwords always work, and forged identities never."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from tests.front_end.client import Headers
from tests.front_end.site import OAUTH2_PROXY, Site, site
from tests.front_end.test_credentials import ADMIN, API
from tests.front_end.test_forged_headers import IDENTITY

BASIC = "authentication_basic"


def repeated(made: Site, path: str, headers: Headers, ended: Event) -> list[int]:
    """Send a request until the event. Return the statuses."""
    statuses = []
    while not ended.is_set():
        statuses.append(made.client.ask(path, headers).status)
    return statuses


@pytest.mark.parametrize("modes", [(BASIC, OAUTH2_PROXY, BASIC), (OAUTH2_PROXY, BASIC, OAUTH2_PROXY)])
def test_a_change_of_the_mode_under_load(modes: tuple[str, ...]) -> None:
    with site(modes[0]) as made, made.run_oauth2_proxy(), ThreadPoolExecutor() as pool:
        forged = [("X-MLflow-Authorization", IDENTITY.replace("SECRET", made.secret))]
        ended = Event()
        good = [pool.submit(repeated, made, path, [ADMIN], ended) for path in (API, "/api/3.0/mlflow/server-info")]
        bad = [pool.submit(repeated, made, path, forged, ended) for path in (API, "/api/3.0/mlflow/server-info")]
        try:
            for mode in modes[1:]:
                made.change_mode(mode)
        finally:
            ended.set()
        for futures, status in ((good, 200), (bad, 401)):
            for future in futures:
                assert len(future.result()) > 5
                assert set(future.result()) == {status}
