# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Answers from a hosted zone: records, wildcards and names that do not exist (RFC 1034, RFC 4592)."""

from __future__ import annotations

from dataclasses import dataclass

from localcloud.engine.base import HostedZone, RecordSet


@dataclass(frozen=True)
class Answer:
    """The answer of a zone to one question."""

    exists: bool
    """Whether the name exists, with records of any type."""
    record_sets: tuple[RecordSet, ...] = ()
    """The records of the type in question, or the CNAME record of the name."""
    alias: str | None = None
    """The target of the CNAME record, if the question is about another type."""


def answer(zone: HostedZone, name: str, kind: str) -> Answer:
    """Return the answer to a question. `name` is inside the zone, in lower case with a dot at its end."""
    source = _source(zone, name)
    if source is None:
        return Answer(exists=False)
    found = tuple(each for each in zone.record_sets if each.name == source)
    aliases = tuple(each for each in found if each.type == "CNAME")
    if aliases and kind not in ("CNAME", "ANY"):
        return Answer(True, aliases, aliases[0].data[0])
    return Answer(True, tuple(each for each in found if kind in (each.type, "ANY")))


def start_of_authority(zone: HostedZone) -> RecordSet:
    """Return the SOA record for negative answers. Its TTL is the time for which they are valid."""
    soa = next(each for each in zone.record_sets if each.type == "SOA")
    return RecordSet(soa.name, soa.type, min(soa.ttl, int(soa.data[0].rsplit(" ", 1)[1])), soa.data)


def _source(zone: HostedZone, name: str) -> str | None:
    """Return the name whose records answer: the name itself, or the wildcard that covers it."""
    # A name exists, too, if a name below it has records.
    existing = {parent for each in zone.record_sets for parent in _upwards(each.name)}
    closest = next((parent for parent in _upwards(name) if parent in existing), zone.name)
    if closest == name:
        return name
    return f"*.{closest}" if f"*.{closest}" in existing else None


def _upwards(name: str) -> list[str]:
    """Return a name and the names above it, longest first."""
    labels = name.split(".")
    return [".".join(labels[start:]) for start in range(len(labels) - 1)]
