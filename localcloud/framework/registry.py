# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""All services, and the service of a request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from localcloud.core import contract
from localcloud.core.contract import Match
from localcloud.core.traits import Traits
from localcloud.engine.base import ZoneLookup
from localcloud.framework.cloud import Cloud
from localcloud.framework.service import Bound, RawRoute, Service
from localcloud.metadata.directory import InstanceDirectory


@dataclass(frozen=True)
class Found:
    """The match of a path: a contract method (with or without a handler) or a raw route."""

    service: Service
    match: Match | None = None
    bound: Bound | None = None
    raw: RawRoute | None = None
    raw_params: tuple[tuple[str, str], ...] = ()


class Registry:
    """The services by name and host."""

    def __init__(self, found: list[Service]) -> None:
        self.services = found
        self._by_name: dict[str, list[Service]] = {}
        self._by_host: dict[str, list[Service]] = {}
        self._rooted: list[Service] = []
        for service in found:
            self._by_name.setdefault(service.name, []).append(service)
            for host in (service.host, *service.hosts):
                self._by_host.setdefault(host, []).append(service)
            # The paths of these services name their API already, as in /API/v1/projects.
            if service.rooted or any(c.document["servicePath"] for c in service.contracts()):
                self._rooted.append(service)

    @property
    def traits(self) -> Traits:
        """Return the facts that all services declare."""
        return Traits(
            names=tuple(sorted({service.name for service in self.services if not service.admin})),
            durations={pattern: s for service in self.services for pattern, s in service.durations.items()},
            initial_apis=tuple(host for service in self.services for host in service.initial_apis),
            numbered_hosts=frozenset(service.host for service in self.services if service.conditions_by_number),
            resource_types={service.host: service.resource_types for service in self.services},
            constraints={name: default for service in self.services for name, default in service.constraints.items()},
        )

    def directory(self, cloud: Cloud) -> InstanceDirectory:
        """Return the VM instances of a cloud, from the service that has them."""
        return next(service.directory(cloud) for service in self.services if service.directory)

    def hosted_zones(self, cloud: Cloud) -> ZoneLookup:
        """Return the lookup of hosted DNS zones of a cloud, from the service that has them."""
        return next(service.hosted_zones(cloud) for service in self.services if service.hosted_zones)

    def is_google_host(self, host: str) -> bool:
        """Return whether a host name belongs to Google. VMs use these names."""
        return host.endswith((".googleapis.com", ".google.com"))

    def find(self, host: str, http_method: str, raw_path: str) -> Found | None:
        """Return the method or route of a request; None if no API has the path."""
        for service, path in self._candidates(host, raw_path):
            raw = _raw(service, http_method, path, fallback=False)
            if raw:
                return raw
            for version in service.versions:
                match = contract.load(service.name, version).match(http_method, path)
                if match:
                    return Found(service, match, service.bound.get(match.method.id))
        found = (_raw(service, http_method, path, fallback=True) for service, path in self._fallbacks(host, raw_path))
        return next((each for each in found if each), None)

    def _candidates(self, host: str, raw_path: str) -> Iterator[tuple[Service, str]]:
        if self.is_google_host(host):
            for service in self._by_host.get(host, ()):
                if not service.admin:
                    yield service, raw_path
            for service in self.services:
                if service.subdomains and host.endswith(f".{service.host}"):
                    yield service, raw_path
            if host == "www.googleapis.com":
                for service in self._rooted:
                    yield service, raw_path
            return
        _, first, *rest = raw_path.split("/", 2)
        for service in self._by_name.get(first, ()):
            yield service, "/" + (rest[0] if rest else "")
        for service in self._rooted:
            yield service, raw_path

    def _fallbacks(self, host: str, raw_path: str) -> Iterator[tuple[Service, str]]:
        if self.is_google_host(host):
            for service in self.services:
                if service.host == host:
                    yield service, raw_path
                elif service.subdomains and host.endswith(f".{service.host}"):
                    yield service, f"/{host.removesuffix(f'.{service.host}')}{raw_path}"
        elif raw_path.split("/", 2)[1] not in self._by_name:
            for service in self.services:
                yield service, raw_path


def _raw(service: Service, http_method: str, path: str, *, fallback: bool) -> Found | None:
    for raw in service.raw:
        matched = raw.pattern.fullmatch(path)
        if raw.fallback == fallback and http_method in raw.methods and matched:
            params = tuple((k, unquote(v)) for k, v in matched.groupdict().items() if v is not None)
            return Found(service, raw=raw, raw_params=params)
    return None
