# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Purge deleted runs, logged models, experiments and finished jobs of MLflow: artifacts and database rows.

The rules are those of `mlflow gc`, with these differences:

- Artifacts of `mlflow-artifacts:` locations are deleted in the artifact store itself, not through the server.
- One item after the other: artifacts first, then the rows. An item that fails keeps its rows, and the others go on.
- Artifacts of a registered model version are kept, and so are the rows that refer to them.
- An experiment takes the artifacts of its logged models and traces with it.

Run as the service user in the Python of the active release. Started by any other Python, the program replaces itself
with that Python. Credentials come from systemd; the database password goes to a libpq password file in the runtime
directory.

Exit codes: 0 done; 1 some items could not be purged (the report names them); 2 refused, nothing was changed.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import importlib.util
import json
import os
import posixpath
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import unquote, urlsplit

SLOTS = Path("/opt/mlflow/slots")
# As `mlflow gc --older-than`, with whole numbers.
SPAN = re.compile(r"(?=.)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
# MLflow creates the experiment with this ID again at each start.
DEFAULT_EXPERIMENT = "0"
# A dry run lists the artifacts of at most this number of items.
MEASURED_ITEMS = 100
# If the artifact store does not answer, each item takes minutes. The purge ends after this number of failures in a row.
FAILURES_IN_A_ROW = 20
SHOWN_ITEMS = 50
TRACES_AT_ONCE = 1000
# Seconds after which the registered model versions are read again.
REGISTRY_SECONDS = 30
DELETED, ACTIVE = "deleted", "active"


class GcError(Exception):
    """A cause that the report shows; holds no secret."""


class KeptError(Exception):
    """The reason why an item is not purged."""


@dataclass(frozen=True)
class Item:
    """A deleted run, logged model or experiment."""

    kind: str
    id: str
    name: str
    experiment_id: str
    location: str
    deleted: int | None
    workspace: str | None = None

    def __str__(self) -> str:
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.deleted / 1000)) if self.deleted else "?"
        place = "" if self.kind == "experiment" else f", experiment {self.experiment_id}"
        return f"{self.kind} {self.id} ({self.name}{place}, deleted {when})"


@dataclass(frozen=True)
class Options:
    """The items to purge. Without IDs: everything that was deleted long enough ago."""

    older_than: str = "30d"
    run_ids: tuple[str, ...] = ()
    experiment_ids: tuple[str, ...] = ()
    model_ids: tuple[str, ...] = ()
    jobs: bool = False
    check: bool = False

    @property
    def age(self) -> int:
        """The age in milliseconds."""
        match = SPAN.fullmatch(self.older_than)
        if match is None:
            raise GcError(f"'{self.older_than}' is not an age. Give one such as 30d, 12h or 1d12h; 0d is any age")
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return 1000 * (seconds + 60 * (minutes + 60 * (hours + 24 * days)))

    @property
    def selected(self) -> bool:
        """Whether only named items are purged."""
        return bool(self.run_ids or self.experiment_ids or self.model_ids)


@dataclass
class Report:
    """The result of a purge or of a dry run."""

    check: bool = False
    older_than: str = ""
    items: list[dict[str, Any]] = field(default_factory=list)
    jobs: int = 0
    kept: list[dict[str, str]] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    not_tried: int = 0
    interrupted: bool = False

    def purged(self, item: Item, size: tuple[int, int] | None = None) -> None:
        """Record an item that was purged, or would be."""
        entry: dict[str, Any] = {"text": str(item), **asdict(item)}
        if size is not None:
            entry["files"], entry["bytes"] = size
        self.items.append(entry)

    def ids(self, kind: str) -> set[str]:
        """Return the IDs of the purged items of a kind."""
        return {item["id"] for item in self.items if item["kind"] == kind}

    @property
    def changed(self) -> bool:
        """Whether something was purged, or would be."""
        return bool(self.items or self.jobs)

    @property
    def summary(self) -> str:
        """One sentence with the counts."""
        counts = Counter(item["kind"] for item in self.items)
        parts = [f"{counts[kind]} {kind}s" for kind in ("run", "model", "experiment")] + [f"{self.jobs} jobs"]
        text = f"{'Would purge' if self.check else 'Purged'} {', '.join(parts)} deleted more than {self.older_than} ago"
        if measured := [item for item in self.items if "bytes" in item]:
            megabytes = sum(item["bytes"] for item in measured) / 1e6
            text += f"; {sum(item['files'] for item in measured)} artifacts of {megabytes:.1f} MB"
            text += f" in {len(measured)} of them" if len(measured) < len(self.items) else ""
        return f"{text}; kept {len(self.kept)}, failed {len(self.failed)}, not tried {self.not_tried}."

    @property
    def lines(self) -> list[str]:
        """The report for people, with a bounded number of lines."""
        groups = [
            [f"{'Would purge' if self.check else 'Purged'} {item['text']}{size(item)}" for item in self.items],
            [f"Kept {entry['text']}: {entry['reason']}" for entry in self.kept],
            [f"Failed {entry['text']}: {entry['reason']}" for entry in self.failed],
            [f"Unknown, or purged before: {name}" for name in self.unknown],
        ]
        lines = []
        for group in groups:
            lines += group[:SHOWN_ITEMS]
            lines += [f"and {len(group) - SHOWN_ITEMS} more"] if len(group) > SHOWN_ITEMS else []
        return [*lines, self.summary]


def size(item: dict[str, Any]) -> str:
    """Return the size of an item's artifacts in words."""
    return f", {item['files']} artifacts, {item['bytes']} bytes" if "bytes" in item else ""


def one_line(error: BaseException) -> str:
    """Return an error's first line of text."""
    lines = str(error).strip().splitlines() or [""]
    return lines[0][:500] if isinstance(error, GcError) else f"{type(error).__name__}: {lines[0][:500]}"


class Artifacts:
    """The artifact store, reached with the identity of this process."""

    def __init__(self, destination: str, hosts: Iterable[str] = ()) -> None:
        """Take the server's artifacts destination and the names under which the server is reached."""
        self._destination = destination
        self._hosts = set(hosts)

    def _place(self, location: str, owner: str) -> tuple[Any, str | None]:
        """Return the repository that holds a location, and the path in it."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        parts = urlsplit(location)
        proxied = parts.scheme == "mlflow-artifacts"
        # Clients send the path of a proxied location as part of a URL.
        path = unquote(parts.path) if proxied else parts.path
        names = path.split("/")
        # Never delete a directory that other items share.
        if owner not in names or ".." in names:
            raise GcError(f"artifact location '{location}' is not a directory of its own. Delete the artifacts by hand")
        if proxied and parts.netloc and parts.netloc not in self._hosts:
            raise GcError(f"artifacts are on another server: '{location}'. Delete them there")
        if proxied:
            return get_artifact_repository(self._destination), path.strip("/")
        if parts.scheme in ("gs", "file", ""):
            return get_artifact_repository(location), None
        raise GcError(f"artifact location '{location}' is not in a store of this server. Delete the artifacts by hand")

    def delete(self, location: str, owner: str) -> None:
        """Delete all files in a location of `owner`. An empty location is no error."""
        repository, path = self._place(location, owner)
        for attempts_left in (2, 1, 0):
            try:
                repository.delete_artifacts(path)
            except Exception as error:
                # Another client deleted an object. A bucket that does not exist is an error after the last attempt.
                if type(error).__name__ != "NotFound" or not attempts_left:
                    raise
            else:
                return

    def measure(self, location: str, owner: str) -> tuple[int, int]:
        """Return the number of files in a location, and their bytes."""
        repository, path = self._place(location, owner)
        files = list(self._walk(repository, path))
        return len(files), sum(entry.file_size or 0 for entry in files)

    def _walk(self, repository: Any, path: str | None) -> Iterator[Any]:
        for entry in repository.list_artifacts(path):
            if entry.is_dir:
                # For the root of a bucket MLflow returns paths without their first letter; the last name is right.
                yield from self._walk(repository, posixpath.join(path or "", posixpath.basename(entry.path)))
            else:
                yield entry


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
                    raise GcError(f"{len(traces)} archived traces could not be deleted, such as {traces[0][0]}")
                self._store._hard_delete_experiment(item.id)

    def jobs(self, age: int, *, delete: bool) -> int:
        """Count the finished jobs of an age; delete them where asked to."""
        from mlflow.entities._job_status import JobStatus
        from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
        from mlflow.store.jobs.sqlalchemy_store import SqlAlchemyJobStore
        from mlflow.store.tracking.dbmodels.models import SqlJob

        if delete:
            if MLFLOW_ENABLE_WORKSPACES.get():
                raise GcError("jobs of a server with workspaces cannot be purged")
            return len(SqlAlchemyJobStore(self._store.db_uri).delete_jobs(older_than=age))
        finished = [JobStatus[name].to_int() for name in ("SUCCEEDED", "FAILED", "TIMEOUT", "CANCELED")]
        with self._store.ManagedSessionMaker() as session:
            query = session.query(SqlJob.id).filter(SqlJob.status.in_(finished))
            if age:
                query = query.filter(SqlJob.creation_time < now() - age)
            return int(query.count())


def now() -> int:
    """Return the time in milliseconds."""
    return time.time_ns() // 1_000_000


def inside(place: str, location: str) -> bool:
    """Tell whether a place is a location or in it."""
    return (place.rstrip("/") + "/").startswith(location.rstrip("/") + "/")


class Gc:
    """One purge, or one dry run."""

    def __init__(self, database: Database, artifacts: Artifacts, options: Options) -> None:
        """Prepare; nothing is read yet."""
        self._database = database
        self._artifacts = artifacts
        self._options = options
        self._threshold = now() - options.age
        self._report = Report(check=options.check, older_than=options.older_than)
        self._used: list[str] = []
        self._used_names: set[str] = set()
        self._used_until = 0.0
        self._failures = 0
        self.stopped: Callable[[], bool] = lambda: False

    def run(self) -> Report:
        """Purge, runs first and experiments last; return the report."""
        plan = self._plan()
        for number, item in enumerate(plan):
            if self.stopped():
                self._report.interrupted = True
            if self._report.interrupted or self._failures >= FAILURES_IN_A_ROW:
                self._report.not_tried = len(plan) - number
                break
            self._purge(item, measure=number < MEASURED_ITEMS)
        if self._options.jobs and not self._report.not_tried:
            self._report.jobs = self._database.jobs(self._options.age, delete=not self._options.check)
        return self._report

    # --- Selection of items

    def _plan(self) -> list[Item]:
        """Return the items to purge. Raise GcError if a named item must not be purged."""
        options = self._options
        if not options.selected:
            deleted = [item for kind in ("run", "model", "experiment") for item in self._database.deleted(kind)]
            return [item for item in deleted if self._old(item)]
        named = [("run", name) for name in options.run_ids] + [("model", name) for name in options.model_ids]
        named += [("experiment", name) for name in options.experiment_ids]
        plan: dict[tuple[str, str], Item] = {}
        errors = []
        for kind, name in dict.fromkeys(named):
            found = self._database.find(kind, name)
            if found is None:
                self._report.unknown.append(f"{kind} {name}")
            elif found[1] != DELETED:
                errors.append(f"{kind} {name} ({found[0].name}) is not deleted")
            elif not self._old(found[0]):
                errors.append(f"{found[0]} was deleted less than {options.older_than} ago: for any age, 0d")
            else:
                plan[kind, name] = found[0]
        if errors:
            raise GcError(f"{'; '.join(errors)}. Nothing was purged")
        for experiment in [item for item in plan.values() if item.kind == "experiment"]:
            for run in self._database.within("run", experiment):
                if self._is_deleted(run) and self._old(run):
                    plan.setdefault(("run", run.id), run)
        order = ("run", "model", "experiment")
        return sorted(plan.values(), key=lambda item: order.index(item.kind))

    def _old(self, item: Item) -> bool:
        return item.deleted is not None and item.deleted <= self._threshold

    def _is_deleted(self, item: Item) -> bool:
        found = self._database.find(item.kind, item.id)
        return found is not None and found[1] == DELETED

    # --- One item

    def _purge(self, item: Item, *, measure: bool) -> None:
        """Purge an item, or find out in a dry run whether that is possible."""
        report, entry = self._report, {"kind": item.kind, "id": item.id, "text": str(item)}
        try:
            self._require_unused(item)
            places = self._places(item)
            if report.check:
                report.purged(item, self._size(places) if measure else None)
                return
            for location, owner in places:
                self._artifacts.delete(location, owner)
            # A user may have restored the item during the purge.
            if not self._is_deleted(item):
                raise GcError("was restored during the purge; its artifacts are gone")
            self._database.delete(item)
        except KeptError as reason:
            report.kept.append({**entry, "reason": str(reason)})
            return
        except Exception as error:
            self._failures += 1
            report.failed.append({**entry, "reason": one_line(error)})
            print(f"Failed {item}: {one_line(error)}", file=sys.stderr, flush=True)
            return
        self._failures = 0
        report.purged(item)
        print(f"Purged {item}", file=sys.stderr, flush=True)

    def _require_unused(self, item: Item) -> None:
        """Raise KeptError if a part of the item is in use. Read the current rows."""
        found = self._database.find(item.kind, item.id)
        if found is None or found[1] != DELETED or not self._old(found[0]):
            raise KeptError("is not deleted any more")
        if time.monotonic() > self._used_until:
            self._used = self._database.used()
            self._used_names = {name for place in self._used for name in place.split("/")}
            self._used_until = time.monotonic() + REGISTRY_SECONDS
        if item.kind != "experiment":
            self._require_unregistered(item)
            return
        if item.id == DEFAULT_EXPERIMENT:
            raise KeptError("is the default experiment, which MLflow creates again")
        runs = {run.id for run in self._database.within("run", item)}
        if self._report.check:
            runs -= self._report.ids("run")
        if runs:
            raise KeptError(f"has {len(runs)} runs that are not purged, such as {min(runs)}")
        gone = self._report.ids("model") if self._report.check else set()
        for model in self._database.within("model", item):
            if model.id not in gone:
                self._require_unregistered(model)

    def _require_unregistered(self, item: Item) -> None:
        """Raise KeptError if a registered model version is loaded from the artifacts of an item."""
        if item.id in self._used_names:
            raise KeptError(f"a registered model version uses the artifacts of {item.kind} {item.id}")

    def _places(self, item: Item) -> list[tuple[str, str]]:
        """Return the artifact locations of an item, each with the ID that its path must contain."""
        if item.kind != "experiment":
            return [(item.location, item.id)]
        if item.location.rstrip("/").rpartition("/")[2] == item.id:
            others = self._database.other_locations(item)
            if not any(inside(other, item.location) for other in others):
                if any(inside(place, item.location) for place in self._used):
                    raise KeptError("a registered model version uses its artifacts")
                return [(item.location, item.id)]
        # Other experiments may share this location.
        models = [(model.location, model.id) for model in self._database.within("model", item)]
        return models + [(location, trace) for trace, location in self._database.traces(item)]

    def _size(self, places: list[tuple[str, str]]) -> tuple[int, int] | None:
        """Return the number and the bytes of the files in the places, or None if they cannot be listed."""
        try:
            sizes = [self._artifacts.measure(location, owner) for location, owner in places]
        except Exception as error:
            print(f"Cannot list the artifacts of {places[0][0]}: {one_line(error)}", file=sys.stderr, flush=True)
            return None
        return sum(files for files, _bytes in sizes), sum(count for _files, count in sizes)


# --- Process, credentials and command line


def active_slot(slots: Path) -> tuple[Path, dict[str, Any]]:
    """Return the directory of the active slot, and its settings."""
    try:
        slot = slots / (slots / "active").read_text(encoding="utf-8").strip()
        settings: dict[str, Any] = json.loads((slot / "server.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise GcError(f"no server is installed in {slots}. Run site.yml first") from None
    return slot, settings


def enter_release(slot: Path) -> None:
    """Replace this process by the Python of the active release, unless it is that Python."""
    release = (slot / "release").resolve()
    if Path(sys.prefix).resolve() != release:
        python = str(release / "bin" / "python")
        os.execv(python, [python, "-I", __file__, *sys.argv[1:]])  # noqa: S606


def load_launcher(slot: Path) -> Any:
    """Import the launcher of the slot, which reads the credentials and checks the schema."""
    spec = importlib.util.spec_from_file_location("launch", slot / "launch.py")
    if spec is None or spec.loader is None:
        raise GcError(f"{slot / 'launch.py'} is missing. Run site.yml first")
    launch = importlib.util.module_from_spec(spec)
    sys.modules["launch"] = launch
    spec.loader.exec_module(launch)
    return launch


def connect(slot: Path, settings: dict[str, Any]) -> str:
    """Prepare this process for the database; return the URI of the tracking database, without a password."""
    credentials, runtime = Path(os.environ["CREDENTIALS_DIRECTORY"]), Path(os.environ["RUNTIME_DIRECTORY"])
    launch = load_launcher(slot)
    secret = credentials / "mlflow.database-uri"
    if not secret.exists():
        raise GcError("credential mlflow.database-uri is missing. See systemctl status mlflow-credentials.service")
    try:
        uri, auth_uri, line = launch.split_database_uri(
            secret.read_text(encoding="utf-8").rstrip("\r\n"), settings["auth_database"]
        )
        launch.write_private(runtime / "pgpass", line)
        os.environ["PGPASSFILE"] = str(runtime / "pgpass")
        if (credentials / "mlflow.database-ca").exists():
            os.environ["PGSSLROOTCERT"] = str(credentials / "mlflow.database-ca")
        # The store of MLflow would migrate an old schema.
        launch.refuse_to_migrate(uri, auth_uri)
    except launch.ConfigurationError as error:
        raise GcError(str(error)) from None
    return str(uri)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock of a purge."""
    with path.open("a", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GcError("another purge is running. Run again when it has ended") from None
        yield


def parse(arguments: Sequence[str] | None) -> tuple[Options, argparse.Namespace]:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Purge deleted runs, logged models and experiments of MLflow for good")
    parser.add_argument("--check", action="store_true", help="only report the items that would be purged")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--older-than", default="30d", help="time since the deletion, such as 30d or 1d12h")
    for kind in ("run", "experiment", "model"):
        parser.add_argument(f"--{kind}-id", action="append", default=[], dest=f"{kind}_ids", help=f"only this {kind}")
    parser.add_argument("--jobs", action="store_true", help="also records of finished jobs")
    parser.add_argument("--slots", type=Path, default=SLOTS, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    names = ("run_ids", "experiment_ids", "model_ids")
    options = Options(
        older_than=given.older_than,
        jobs=given.jobs,
        check=given.check,
        **{name: tuple(getattr(given, name)) for name in names},
    )
    return options, given


def collect(options: Options, slot: Path, settings: dict[str, Any]) -> Report:
    """Purge with the settings of the active slot; return the report."""
    hosts = settings["environment"].get("MLFLOW_SERVER_ALLOWED_HOSTS", "").split(",")
    uri = connect(slot, settings)
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; return its exit code."""
    options, given = parse(arguments)
    try:
        options.age  # noqa: B018
        slot, settings = active_slot(given.slots)
        enter_release(slot)
        # A purge needs two connections and no temporary directory.
        pool = {"MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "2", "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "2"}
        os.environ.update({**{name: str(value) for name, value in settings["environment"].items()}, **pool})
        os.environ.pop("TMPDIR", None)
        report = collect(options, slot, settings)
    except Exception as error:
        print(f"gc: {one_line(error)}", file=sys.stderr)
        return 2
    if given.json:
        print(json.dumps({**asdict(report), "changed": report.changed, "lines": report.lines}))
    else:
        print(report.summary)
    return 1 if report.failed or (report.not_tried and not report.interrupted) else 0


if __name__ == "__main__":
    sys.exit(main())
