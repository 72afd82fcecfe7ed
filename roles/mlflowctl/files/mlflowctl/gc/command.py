# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The job `gc`, with the settings of the active slot.

Exit codes: 0 the purge is complete; 1 some items could not be purged (the report names them); 3 refused, nothing was
changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from .. import credentials as store
from .. import database_uri
from ..errors import ExitCode, FailedError, one_line
from ..launch import refuse_to_migrate
from ..settings import active_slot, server_settings
from ..system import Paths
from .artifacts import Artifacts
from .purge import Gc
from .report import Options, Report
from .tracking import Database


def connect(auth_database: str) -> str:
    """Prepare this process for the database; return the URI of the tracking database, without a password."""
    databases = database_uri.read(store.directory(), auth_database)
    password_file = Path(os.environ["RUNTIME_DIRECTORY"]) / "pgpass"
    store.write_private(password_file, databases.password_line)
    os.environ["PGPASSFILE"] = str(password_file)
    uri = databases.without_password(databases.tracking)
    # The store of MLflow would migrate an old schema.
    refuse_to_migrate(uri, databases.without_password(databases.auth))
    return uri


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock of a purge."""
    with path.open("a", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FailedError("another purge is running. Run again when it has ended") from None
        yield


def collect(options: Options, settings: dict[str, Any]) -> Report:
    """Purge with the settings of the active slot; return the report."""
    hosts = settings["environment"].get("MLFLOW_SERVER_ALLOWED_HOSTS", "").split(",")
    uri = connect(settings["auth_database"])
    from mlflow.tracking._tracking_service.utils import _get_store

    database = Database(_get_store(uri, settings["artifacts_destination"]))
    purge = Gc(database, Artifacts(settings["artifacts_destination"], hosts), options)
    signals: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        signals.append(number)

    # After SIGTERM the current item is finished.
    signal.signal(signal.SIGTERM, stop)
    purge.stopped = lambda: bool(signals)
    with contextlib.nullcontext() if options.check else alone(Path(os.environ["STATE_DIRECTORY"]) / "gc.lock"):
        return purge.run()


def run(options: Options, paths: Paths) -> tuple[dict[str, Any], ExitCode]:
    """Purge; return the report as a document, and the exit code."""
    try:
        options.age  # noqa: B018
        active_slot(paths)
        settings = server_settings(paths)
        # A purge needs two connections and no temporary directory.
        pool = {"MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "2", "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "2"}
        os.environ.update({**{name: str(value) for name, value in settings["environment"].items()}, **pool})
        os.environ.pop("TMPDIR", None)
        report = collect(options, settings)
    except Exception as error:
        raise FailedError(one_line(error), ExitCode.REFUSED) from error
    print(report.summary, file=sys.stderr)
    failed = report.failed or (report.not_tried and not report.interrupted)
    document = {**asdict(report), "changed": report.changed, "summary": report.summary, "lines": report.lines}
    return document, ExitCode.FAILED if failed else ExitCode.DONE
