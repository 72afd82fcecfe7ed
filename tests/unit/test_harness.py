# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The scripted requests of the unit tests."""

from __future__ import annotations

import threading

import pytest
import requests

from tests.unit.harness import Cloud, scripted


def test_a_request_of_google_auth_does_not_end_the_order() -> None:
    with scripted() as script:
        cloud = Cloud(script)
        paths = ("first", "second", "third")
        for path in paths:
            cloud.get("storage", path, {})
        urls = [f"https://storage.googleapis.com/storage/v1/{path}" for path in paths]
        requests.get(urls[0], timeout=5)
        with pytest.raises(requests.ConnectionError):
            requests.get("https://iamcredentials.googleapis.com/v1/a/allowedLocations", timeout=5)
        for url in urls[1:]:
            requests.get(url, timeout=5)
        assert [request.url for request in cloud.requests] == urls


def test_a_request_of_an_earlier_thread_does_not_end_the_order() -> None:
    asked, answers = threading.Event(), []

    def ask() -> None:
        asked.wait(30)
        with pytest.raises(requests.ConnectionError) as refused:
            requests.get("https://config.example/telemetry.json", timeout=5)
        answers.append(str(refused.value))

    thread = threading.Thread(target=ask)
    thread.start()
    with scripted() as script:
        cloud = Cloud(script)
        for path in ("first", "second"):
            cloud.get("storage", path, {})
        requests.get("https://storage.googleapis.com/storage/v1/first", timeout=5)
        asked.set()
        thread.join(30)
        assert "a request of another thread" in answers[0]
        requests.get("https://storage.googleapis.com/storage/v1/second", timeout=5)
        assert [request.url.rpartition("/")[2] for request in cloud.requests] == ["first", "second"]
