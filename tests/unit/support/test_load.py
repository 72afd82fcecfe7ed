# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The end and the report of the clients of a measurement."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.support import load


class Client:
    """A server with these runs, each complete and with the same artifact."""

    def __init__(self, *runs: str) -> None:
        self.runs = runs

    def search_runs(self, *_: Any, **__: Any) -> Any:
        parameters = dict.fromkeys(range(load.PARAMETERS + 1))
        data = SimpleNamespace(params=parameters, metrics=dict.fromkeys(range(load.METRICS + 1)), tags={"load": "yes"})
        return Page(
            SimpleNamespace(info=SimpleNamespace(run_id=run, status="FINISHED"), data=data) for run in self.runs
        )

    def download_artifacts(self, run: str, name: str, folder: str) -> str:
        assert run in self.runs, f"RESOURCE_DOES_NOT_EXIST: {run}"
        path = Path(folder) / name
        path.write_bytes(b"content")
        return str(path)


class Page(list[Any]):
    """The last page of a search."""

    token = None


def test_a_missing_run_is_reported_and_the_others_are_verified() -> None:
    record = load.Record(seconds={"create_run": [0.1, 0.1, 0.1]})
    record.runs = {"gone": b"content", "whole": b"content", "other": b"else"}
    told = load.verify(Client("whole", "other"), "1", record)  # type: ignore[arg-type]
    assert told == {"runs": 3, "wrong": ["gone is missing", "other has a different artifact"], "twice": -1}


def test_a_signal_to_another_thread_ends_the_wait() -> None:
    stop = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    other = threading.Timer(0.2, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM))
    other.start()
    started = time.monotonic()
    try:
        load.wait(stop, 20)
    finally:
        other.join()
        signal.signal(signal.SIGTERM, before)
    assert stop.is_set()
    assert time.monotonic() - started < 10


def test_the_wait_ends_after_its_time() -> None:
    stop = threading.Event()
    load.wait(stop, 0.1)
    assert not stop.is_set()
