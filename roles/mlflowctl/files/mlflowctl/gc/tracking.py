# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The tracking database of MLflow."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from ..errors import FailedError
from .report import Item

TRACES_AT_ONCE = 1000
DELETED = "deleted"


def now() -> int:
    """Return the time in milliseconds."""
    return time.time_ns() // 1_000_000


class Database:
    """MLflow's tracking store: reads with queries of its own, deletes as `mlflow gc` does."""

    def __init__(self, store: Any) -> None:
        """Take MLflow's SQL tracking store."""
        self._store = store

    @contextlib.contextmanager
    def _workspace(self, item: Item) -> Iterator[None]:
        from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES

        if not MLFLOW_ENABLE_WORKSPACES.get():
            yield
            return
        from mlflow.utils.workspace_context import WorkspaceContext

        with WorkspaceContext(item.workspace):
            yield

    def deleted(self, kind: str) -> list[Item]:
        """Return all deleted items of a kind, the oldest first."""
        items = [item for item, stage in self._items(kind) if stage == DELETED]
        return sorted(items, key=lambda item: (item.deleted or 0, item.id))

    def find(self, kind: str, name: str) -> tuple[Item, str] | None:
        """Return an item and its lifecycle stage; None where there is no such row."""
        return next(iter(self._items(kind, name)), None)

    def _items(self, kind: str, name: str | None = None, experiment_id: str | None = None) -> list[tuple[Item, str]]:
        from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlLoggedModel, SqlRun

        experiment = SqlExperiment.experiment_id
        columns: dict[str, tuple[Any, ...]] = {
            "run": (SqlRun.run_uuid, SqlRun.name, SqlRun.experiment_id, SqlRun.artifact_uri, SqlRun.deleted_time),
            "model": (
                SqlLoggedModel.model_id,
                SqlLoggedModel.name,
                SqlLoggedModel.experiment_id,
                SqlLoggedModel.artifact_location,
                SqlLoggedModel.last_updated_timestamp_ms,
            ),
            "experiment": (
                experiment,
                SqlExperiment.name,
                experiment,
                SqlExperiment.artifact_location,
                SqlExperiment.last_update_time,
            ),
        }
        table = {"run": SqlRun, "model": SqlLoggedModel, "experiment": SqlExperiment}[kind]
        identifier, called, parent, location, changed = columns[kind]
        with self._store.ManagedSessionMaker() as session:
            query = session.query(
                identifier.label("id"),
                called.label("name"),
                parent.label("parent"),
                location.label("location"),
                changed.label("changed"),
                SqlExperiment.workspace.label("workspace"),
                table.lifecycle_stage.label("stage"),
            )
            if kind != "experiment":
                query = query.join(SqlExperiment, parent == experiment)
            if name is None and experiment_id is None:
                query = query.filter(table.lifecycle_stage == DELETED)
            if name is not None:
                if kind == "experiment" and not name.isdecimal():
                    return []
                query = query.filter(identifier == (int(name) if kind == "experiment" else name))
            if experiment_id is not None:
                query = query.filter(parent == int(experiment_id))
            return [
                (Item(kind, str(row.id), row.name or "", str(row.parent), row.location or "", *row[4:6]), row.stage)
                for row in query.all()
            ]

    def within(self, kind: str, experiment: Item) -> list[Item]:
        """Return the runs or logged models of an experiment, whatever their lifecycle stage."""
        return [item for item, _stage in self._items(kind, experiment_id=experiment.id)]

    def used(self) -> list[str]:
        """Return the places that the registered model versions are loaded from."""
        from mlflow.store.model_registry.dbmodels.models import SqlModelVersion

        with self._store.ManagedSessionMaker() as session:
            query = session.query(SqlModelVersion.source, SqlModelVersion.storage_location)
            rows = query.filter(SqlModelVersion.current_stage != "Deleted_Internal").all()
        return [place for row in rows for place in row if place]

    def traces(self, experiment: Item) -> list[tuple[str, str]]:
        """Return the IDs of an experiment's traces and the locations of their artifacts."""
        from mlflow.store.tracking.dbmodels.models import SqlTraceInfo, SqlTraceTag

        with self._store.ManagedSessionMaker() as session:
            query = session.query(SqlTraceInfo.request_id, SqlTraceTag.value)
            query = query.join(SqlTraceTag, SqlTraceTag.request_id == SqlTraceInfo.request_id)
            query = query.filter(SqlTraceInfo.experiment_id == int(experiment.id))
            rows = query.filter(SqlTraceTag.key == "mlflow.artifactLocation").all()
        return [(str(row[0]), row[1]) for row in rows if row[1]]

    def other_locations(self, experiment: Item) -> list[str]:
        """Return the artifact locations of all other experiments."""
        from mlflow.store.tracking.dbmodels.models import SqlExperiment

        with self._store.ManagedSessionMaker() as session:
            query = session.query(SqlExperiment.artifact_location)
            rows = query.filter(SqlExperiment.experiment_id != int(experiment.id)).all()
        return [row[0] for row in rows if row[0]]

    def delete(self, item: Item) -> None:
        """Delete an item's rows."""
        with self._workspace(item):
            if item.kind == "run":
                self._store._hard_delete_run(item.id)
            elif item.kind == "model":
                self._store._hard_delete_logged_model(item.id)
            else:
                # In parts, because the deletion of an experiment loads all remaining traces.
                while self._store.delete_traces(item.id, max_timestamp_millis=2**62, max_traces=TRACES_AT_ONCE):
                    pass
                if traces := self.traces(item):
                    raise FailedError(f"{len(traces)} archived traces could not be deleted, such as {traces[0][0]}")
                self._store._hard_delete_experiment(item.id)

    def jobs(self, age: int, *, delete: bool) -> int:
        """Count the finished jobs of an age; delete them where asked to."""
        from mlflow.entities._job_status import JobStatus
        from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
        from mlflow.store.jobs.sqlalchemy_store import SqlAlchemyJobStore
        from mlflow.store.tracking.dbmodels.models import SqlJob

        if delete:
            if MLFLOW_ENABLE_WORKSPACES.get():
                raise FailedError("jobs of a server with workspaces cannot be purged")
            return len(SqlAlchemyJobStore(self._store.db_uri).delete_jobs(older_than=age))
        finished = [JobStatus[name].to_int() for name in ("SUCCEEDED", "FAILED", "TIMEOUT", "CANCELED")]
        with self._store.ManagedSessionMaker() as session:
            query = session.query(SqlJob.id).filter(SqlJob.status.in_(finished))
            if age:
                query = query.filter(SqlJob.creation_time < now() - age)
            return int(query.count())
