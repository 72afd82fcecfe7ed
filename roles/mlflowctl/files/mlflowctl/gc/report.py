# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The items of a purge, its options and its report."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import FailedError

# As `mlflow gc --older-than`, with whole numbers.
SPAN = re.compile(r"(?=.)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
SHOWN_ITEMS = 50


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
            raise FailedError(f"'{self.older_than}' is not an age. Give one such as 30d, 12h or 1d12h; 0d is any age")
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
