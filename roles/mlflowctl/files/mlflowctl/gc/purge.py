# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The selection and the purge of items."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from ..errors import FailedError, one_line
from .artifacts import Artifacts
from .report import Item, Options, Report
from .tracking import DELETED, Database, now

# MLflow creates the experiment with this ID again at each start.
DEFAULT_EXPERIMENT = "0"
# A dry run lists the artifacts of at most this number of items.
MEASURED_ITEMS = 100
# If the artifact store does not answer, each item takes minutes. The purge ends after this number of failures in a row.
FAILURES_IN_A_ROW = 20
# Seconds after which the registered model versions are read again.
REGISTRY_SECONDS = 30


class KeptError(Exception):
    """The reason why an item is not purged."""


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
        """Return the items to purge. Raise FailedError if a named item must not be purged."""
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
            raise FailedError(f"{'; '.join(errors)}. Nothing was purged")
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
                raise FailedError("was restored during the purge; its artifacts are gone")
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
