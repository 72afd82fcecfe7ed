# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The purge of deleted runs, with MLflow's own store on SQLite and artifacts in a directory.

There was no way to purge deleted runs without reading the database password by hand.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.entities import LoggedModelStatus, ViewType
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflowctl import cli
from mlflowctl.database_uri import Databases
from mlflowctl.errors import FailedError
from mlflowctl.gc import command, purge, tracking
from mlflowctl.gc.artifacts import Artifacts
from mlflowctl.gc.purge import Gc
from mlflowctl.gc.report import Item, Options, Report
from mlflowctl.gc.tracking import Database
from mlflowctl.system import Paths

DAY = 24 * 60 * 60 * 1000


class Site:
    """A tracking database and an artifact store."""

    def __init__(self, folder: Path) -> None:
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.destination = folder / "artifacts"
        self.destination.mkdir()
        self.store = SqlAlchemyStore(self.uri, "mlflow-artifacts:/")
        self.registry = Registry(self.uri)
        self.artifacts = Artifacts(str(self.destination), ["mlflow.test"])

    def write(self, location: str, name: str = "model/data.bin", size: int = 10) -> Path:
        file = self.destination / location.removeprefix("mlflow-artifacts:/") / name
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x" * size)
        return file

    def run(self, experiment: str = "0", *, deleted_days_ago: float | None = None) -> str:
        """Log a run with an artifact, and delete the run."""
        run = self.store.create_run(experiment, "ada", 0, [], f"run-{deleted_days_ago}")
        self.write(run.info.artifact_uri)
        if deleted_days_ago is not None:
            self.store.delete_run(run.info.run_id)
            self.age("runs", "deleted_time", "run_uuid", run.info.run_id, deleted_days_ago)
        return str(run.info.run_id)

    def model(self, experiment: str = "0", *, deleted_days_ago: float | None = None) -> str:
        model = self.store.create_logged_model(experiment_id=experiment, name="forest")
        self.store.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        self.write(model.artifact_location)
        if deleted_days_ago is not None:
            self.store.delete_logged_model(model.model_id)
            self.age("logged_models", "last_updated_timestamp_ms", "model_id", model.model_id, deleted_days_ago)
        return str(model.model_id)

    def delete_experiment(self, experiment: str, days_ago: float = 40) -> None:
        self.store.delete_experiment(experiment)
        self.age("experiments", "last_update_time", "experiment_id", experiment, days_ago)
        self.age("runs", "deleted_time", "experiment_id", experiment, days_ago)

    def age(self, table: str, column: str, key: str, value: str, days_ago: float) -> None:
        from sqlalchemy import text

        then = int(time.time() * 1000 - days_ago * DAY)
        with self.store.engine.begin() as connection:
            connection.execute(
                text(f"UPDATE {table} SET {column} = :then WHERE {key} = :value"), {"then": then, "value": value}
            )

    def purge(self, **options: Any) -> Any:
        return Gc(Database(self.store), self.artifacts, Options(**options)).run()

    def runs(self) -> set[str]:
        experiments = [found.experiment_id for found in self.store.search_experiments(ViewType.ALL)]
        return {run.info.run_id for run in self.store.search_runs(experiments, "", ViewType.ALL)}

    def experiments(self) -> set[str]:
        return {found.experiment_id for found in self.store.search_experiments(ViewType.ALL)}

    def files(self) -> set[str]:
        return {str(path.relative_to(self.destination)) for path in self.destination.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a database with tables once, because this takes seconds."""
    folder = tmp_path_factory.mktemp("empty")
    SqlAlchemyStore(f"sqlite:///{folder / 'mlflow.db'}", "mlflow-artifacts:/")
    return folder / "mlflow.db"


@pytest.fixture
def site(tmp_path: Path, empty: Path) -> Site:
    shutil.copy(empty, tmp_path)
    return Site(tmp_path)


def ids(report: Any) -> list[str]:
    return [item["id"] for item in report.items]


@pytest.mark.parametrize(
    ("given", "milliseconds"),
    [("30d", 30 * DAY), ("0d", 0), ("1d12h", 36 * 3_600_000), ("2d8h5m20s", 201_920_000), ("90m", 5_400_000)],
)
def test_an_age(given: str, milliseconds: int) -> None:
    assert Options(older_than=given).age == milliseconds


@pytest.mark.parametrize("given", ["", "30", "d", "30 days", "-1d", "1.5d", "12h1d", "30d\n"])
def test_an_invalid_age_is_refused(given: str) -> None:
    with pytest.raises(FailedError, match="is not an age"):
        Options(older_than=given).age  # noqa: B018


def test_old_deleted_runs_are_purged_with_their_artifacts_and_no_others(site: Site) -> None:
    old, young, active = site.run(deleted_days_ago=31), site.run(deleted_days_ago=29), site.run()
    report = site.purge()
    assert ids(report) == [old]
    assert site.runs() == {young, active}
    assert site.files() == {f"0/{run}/artifacts/model/data.bin" for run in (young, active)}
    assert report.changed
    assert "1 runs" in report.summary
    again = site.purge()
    assert (again.changed, again.items, again.kept, again.failed) == (False, [], [], [])


def test_a_dry_run_names_the_items_and_changes_nothing(site: Site) -> None:
    old, _young = site.run(deleted_days_ago=31), site.run(deleted_days_ago=29)
    before = (site.runs(), site.files(), Path(site.uri.removeprefix("sqlite:///")).read_bytes())
    report = site.purge(check=True)
    (item,) = report.items
    assert (item["id"], item["name"], item["files"], item["bytes"]) == (old, "run-31", 1, 10)
    assert report.lines[0].startswith(f"Would purge run {old} (run-31, experiment 0, deleted 20")
    assert "1 artifacts of 0.0 MB" in report.summary
    assert (site.runs(), site.files(), Path(site.uri.removeprefix("sqlite:///")).read_bytes()) == before


def test_a_run_whose_artifacts_are_missing_is_purged(site: Site) -> None:
    old = site.run(deleted_days_ago=31)
    shutil.rmtree(site.destination / "0" / old)
    assert ids(site.purge()) == [old]
    assert site.runs() == set()


def test_a_run_whose_artifacts_cannot_be_deleted_keeps_its_rows_and_the_others_go(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = site.run(deleted_days_ago=41), site.run(deleted_days_ago=40)
    delete = site.artifacts.delete

    def refuse(location: str, owner: str) -> None:
        if owner == bad:
            raise PermissionError(f"403 storage.objects.delete denied on {location}")
        delete(location, owner)

    monkeypatch.setattr(site.artifacts, "delete", refuse)
    report = site.purge()
    assert ids(report) == [good]
    assert [entry["id"] for entry in report.failed] == [bad]
    assert "PermissionError: 403 storage.objects.delete denied" in report.failed[0]["reason"]
    assert site.runs() == {bad}
    monkeypatch.undo()
    assert ids(site.purge()) == [bad]


def test_an_object_store_that_does_not_answer_is_not_asked_for_every_run(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "FAILURES_IN_A_ROW", 2)
    runs = {site.run(deleted_days_ago=40) for _ in range(5)}

    def unreachable(location: str, owner: str) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(site.artifacts, "delete", unreachable)
    report = site.purge()
    assert (len(report.failed), report.not_tried) == (2, 3)
    assert site.runs() == runs


@pytest.mark.parametrize(
    "location",
    [
        "mlflow-artifacts:/",
        "mlflow-artifacts:/0",
        "mlflow-artifacts:/0/RUN/../..",
        "mlflow-artifacts:/0/%2e%2e/RUN",
        "mlflow-artifacts://elsewhere.test/0/RUN/artifacts",
        "https://somebody.test/RUN",
        "s3://bucket/RUN/artifacts",
        "",
    ],
)
def test_a_location_that_is_not_the_runs_own_is_left_alone(site: Site, location: str) -> None:
    run = site.run(deleted_days_ago=31)
    other = site.run()
    before = site.files()
    with site.store.ManagedSessionMaker() as session:
        from mlflow.store.tracking.dbmodels.models import SqlRun

        session.query(SqlRun).filter(SqlRun.run_uuid == run).update({"artifact_uri": location.replace("RUN", run)})
    report = site.purge()
    assert [entry["id"] for entry in report.failed] == [run]
    assert site.files() == before
    assert site.runs() == {run, other}


def test_a_location_with_the_servers_name_and_encoded_characters(site: Site) -> None:
    experiment = site.store.create_experiment("x", "mlflow-artifacts://mlflow.test/my%20data")
    run = site.store.create_run(experiment, "ada", 0, [], "r").info.run_id
    site.write(f"my data/{run}/artifacts")
    site.store.delete_run(run)
    assert ids(site.purge(older_than="0d")) == [run]
    assert site.files() == set()


def test_an_experiment_goes_with_everything_in_it(site: Site) -> None:
    experiment = site.store.create_experiment("old")
    run, model = site.run(experiment), site.model(experiment)
    trace = f"mlflow-artifacts:/{experiment}/traces/tr-1/artifacts"
    site.write(trace)
    kept = site.run()
    site.delete_experiment(experiment)
    check = site.purge(check=True)
    report = site.purge()
    assert ids(report) == ids(check) == [run, experiment]
    assert site.experiments() == {"0"}
    assert site.files() == {f"0/{kept}/artifacts/model/data.bin"}
    assert model not in str(site.files())


def test_an_experiment_with_many_traces(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.entities import TraceInfo, TraceLocation, TraceState

    monkeypatch.setattr(tracking, "TRACES_AT_ONCE", 2)
    experiment = site.store.create_experiment("traced", "mlflow-artifacts:/shared")
    location = TraceLocation.from_experiment_id(experiment)
    for number in range(5):
        site.store.start_trace(TraceInfo(f"tr-{number}", location, 1, TraceState.OK))
        site.write(f"shared/traces/tr-{number}/artifacts", "traces.json")
    site.write("shared/of-another", "kept")
    site.delete_experiment(experiment)
    assert ids(site.purge()) == [experiment]
    assert site.files() == {"shared/of-another/kept"}


def test_an_experiment_with_a_run_that_was_restored_is_kept(site: Site) -> None:
    experiment = site.store.create_experiment("old")
    run = site.run(experiment)
    site.delete_experiment(experiment)
    site.store.restore_run(run)
    report = site.purge()
    assert report.items == []
    assert run in report.kept[0]["reason"]
    assert site.experiments() == {"0", experiment}
    assert len(site.files()) == 1


def test_the_default_experiment_is_kept(site: Site) -> None:
    run = site.run()
    site.delete_experiment("0")
    report = site.purge()
    assert ids(report) == [run]
    assert [entry["id"] for entry in report.kept] == ["0"]


@pytest.mark.parametrize("kind", ["run", "model", "experiment"])
def test_the_source_of_a_registered_model_version_is_kept(site: Site, kind: str) -> None:
    experiment = site.store.create_experiment("old")
    run = site.run(experiment, deleted_days_ago=40 if kind == "run" else None)
    model = site.model(experiment, deleted_days_ago=40 if kind == "model" else None)
    place = f"{run}/artifacts/model" if kind == "run" else f"models/{model}/artifacts"
    site.registry.create_registered_model("production")
    version = site.registry.create_model_version("production", f"mlflow-artifacts:/{experiment}/{place}", run)
    if kind == "experiment":
        site.delete_experiment(experiment)
    before = site.files() if kind != "experiment" else {name for name in site.files() if model in name}
    report = site.purge()
    assert [entry["kind"] for entry in report.kept] == [kind]
    assert "registered model version" in report.kept[0]["reason"]
    assert site.files() == before
    site.registry.delete_model_version("production", version.version)
    assert ids(site.purge())


def test_an_old_deleted_logged_model_is_purged(site: Site) -> None:
    model, young = site.model(deleted_days_ago=31), site.model(deleted_days_ago=1)
    assert ids(site.purge()) == [model]
    assert site.files() == {f"0/models/{young}/artifacts/model/data.bin"}
    assert site.store.get_logged_model(young, allow_deleted=True)


def test_only_named_items_are_purged(site: Site) -> None:
    named, other = site.run(deleted_days_ago=40), site.run(deleted_days_ago=40)
    report = site.purge(run_ids=(named,))
    assert ids(report) == [named]
    assert site.runs() == {other}
    again = site.purge(run_ids=(named,))
    assert (again.changed, again.unknown, again.failed) == (False, [f"run {named}"], [])


def test_a_named_experiment_takes_its_runs(site: Site) -> None:
    experiment = site.store.create_experiment("old")
    run, other = site.run(experiment), site.run(deleted_days_ago=40)
    site.delete_experiment(experiment)
    assert ids(site.purge(experiment_ids=(experiment,))) == [run, experiment]
    assert site.runs() == {other}


def test_named_items_that_are_not_to_be_purged_are_refused_before_anything_is_purged(site: Site) -> None:
    old, young, active = site.run(deleted_days_ago=40), site.run(deleted_days_ago=1), site.run()
    with pytest.raises(FailedError) as refused:
        site.purge(run_ids=(old, young, active))
    assert f"run {active} (run-None) is not deleted" in str(refused.value)
    assert "was deleted less than 30d ago" in str(refused.value)
    assert site.runs() == {old, young, active}
    assert ids(site.purge(run_ids=(young,), older_than="0d")) == [young]


def test_a_run_that_is_restored_meanwhile_is_kept(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    old = site.run(deleted_days_ago=40)
    plan = Gc._plan

    def restored(purge: Any) -> Any:
        items = plan(purge)
        site.store.restore_run(old)
        return items

    monkeypatch.setattr(Gc, "_plan", restored)
    report = site.purge()
    assert report.items == []
    assert site.runs() == {old}
    assert len(site.files()) == 1


def test_a_purge_that_is_stopped_ends_after_the_item_at_hand(site: Site) -> None:
    runs = [site.run(deleted_days_ago=40 - number) for number in range(3)]
    purge = Gc(Database(site.store), site.artifacts, Options())
    purge.stopped = lambda: len(site.runs()) < 3
    report = purge.run()
    assert (ids(report), report.interrupted, report.not_tried) == (runs[:1], True, 2)
    assert ids(site.purge()) == runs[1:]


def test_finished_jobs_are_purged_where_asked_for(site: Site) -> None:
    from mlflow.store.jobs.sqlalchemy_store import SqlAlchemyJobStore

    jobs = SqlAlchemyJobStore(site.uri)
    finished, _running = jobs.create_job("score", "{}"), jobs.create_job("score", "{}")
    jobs.start_job(finished.job_id)
    jobs.finish_job(finished.job_id, "{}")
    site.age("jobs", "creation_time", "id", finished.job_id, 40)
    assert site.purge().jobs == 0
    assert site.purge(jobs=True, check=True).jobs == 1
    assert site.purge(jobs=True).jobs == 1
    assert site.purge(jobs=True).changed is False


def test_a_long_report_is_cut() -> None:
    report = Report(check=True, older_than="30d")
    for number in range(60):
        report.purged(Item("run", str(number), "r", "0", "", 1))
    assert len(report.lines) == 52
    assert report.lines[50] == "and 10 more"


# --- The job


@pytest.fixture
def slots(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a VM with a server in the slot blue."""
    for name in ("credentials", "runtime", "state", "opt/mlflow/slots/blue"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("credentials", "runtime", "state"):
        monkeypatch.setenv(f"{name.upper()}_DIRECTORY", str(tmp_path / name))
    monkeypatch.setattr(os, "environ", os.environ.copy())
    slots = tmp_path / "opt" / "mlflow" / "slots"
    (slots / "active").write_text("blue\n")
    settings = {"artifacts_destination": str(site.destination), "auth_database": "a", "environment": {"MARK": "1"}}
    (slots / "blue" / "server.json").write_text(json.dumps(settings))
    monkeypatch.setattr("mlflowctl.jobs.Paths", lambda: Paths(tmp_path))
    monkeypatch.setattr(Databases, "without_password", lambda *_: site.uri)
    monkeypatch.setattr(command, "refuse_to_migrate", lambda *_: None)
    (tmp_path / "credentials" / "mlflow.database-uri").write_text("postgresql://mlflow:hunter2@db/mlflow\n")
    return slots


def test_the_job(site: Site, slots: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = site.run(deleted_days_ago=40)
    assert cli.main(["gc", "--check"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["changed"], report["check"], report["items"][0]["id"]) == (True, True, old)
    assert not (tmp_path / "state" / "gc.lock").exists()
    assert cli.main(["gc"]) == 0
    printed = capsys.readouterr()
    assert "Purged 1 runs" in json.loads(printed.out)["summary"]
    assert f"Purged run {old}" in printed.err
    assert site.runs() == set()
    assert (tmp_path / "runtime" / "pgpass").read_text() == "*:*:*:mlflow:hunter2\n"
    assert "hunter2" not in printed.out + printed.err + json.dumps(dict(os.environ))


def test_one_purge_at_a_time(site: Site, slots: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = site.run(deleted_days_ago=40)
    with (tmp_path / "state" / "gc.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert cli.main(["gc"]) == 3
    assert "another purge is running" in capsys.readouterr().err
    assert site.runs() == {old}


def test_an_invalid_age_ends_the_job(slots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["gc", "--older-than", "1y"]) == 3
    assert "'1y' is not an age" in capsys.readouterr().err


def test_no_server(slots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (slots / "active").unlink()
    assert cli.main(["gc"]) == 3
    assert f"no server is installed in {slots}. Run site.yml first" in capsys.readouterr().err


def test_no_credential(slots: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "credentials" / "mlflow.database-uri").unlink()
    assert cli.main(["gc"]) == 3
    assert "credential mlflow.database-uri is missing" in capsys.readouterr().err


def test_a_failed_item_is_told_by_the_exit_code(
    site: Site, slots: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.run(deleted_days_ago=40)
    monkeypatch.setattr(Artifacts, "delete", lambda *_: 1 / 0)
    assert cli.main(["gc"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


class Listing:
    """A bucket as the client of Cloud Storage lists it."""

    def __init__(self, sizes: dict[str, int]) -> None:
        self._sizes = sizes

    def bucket(self, name: str) -> Listing:
        return self

    def list_blobs(self, prefix: str, delimiter: str) -> Any:
        rest = {name: name.removeprefix(prefix) for name in self._sizes if name.startswith(prefix)}
        blobs = [SimpleNamespace(name=name, size=self._sizes[name]) for name in rest if delimiter not in rest[name]]
        folders = {prefix + path.partition(delimiter)[0] + delimiter for path in rest.values() if delimiter in path}
        return Page(blobs, folders)


class Page(list[Any]):
    """A page of a list of objects."""

    def __init__(self, blobs: list[Any], folders: set[str]) -> None:
        super().__init__(blobs)
        self.pages = [SimpleNamespace(prefixes=folders)]


@pytest.mark.parametrize("root", ["gs://bucket", "gs://bucket/mlflow"])
def test_artifacts_in_directories_of_a_bucket_are_measured(monkeypatch: pytest.MonkeyPatch, root: str) -> None:
    """MLflow's listing drops the first letter of each path if the store is a whole bucket."""
    below = root.removeprefix("gs://bucket").strip("/")
    names = {"10/abc/artifacts/notes/a.txt": 3, "10/abc/artifacts/notes/deep/b.txt": 4, "10/other/artifacts/c": 5}
    listing = Listing({f"{below}/{name}".lstrip("/"): size for name, size in names.items()})
    monkeypatch.setattr("google.cloud.storage.Client", lambda: listing)
    assert Artifacts(root).measure("mlflow-artifacts:/10/abc/artifacts", "abc") == (2, 7)
