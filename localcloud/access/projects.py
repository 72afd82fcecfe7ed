# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Projects: ids, numbers and enabled APIs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from localcloud.core.store import Store

Json = dict[str, Any]


class Projects:
    """The projects (`projects`, by id) and their enabled APIs (`projects.services`, key `PROJECT/HOST`).

    `initial_apis` are enabled in a new project. All others answer SERVICE_DISABLED until they are enabled.
    """

    def __init__(self, store: Store, initial_apis: Iterable[str] = ()) -> None:
        self._store = store
        self._initial_apis = tuple(initial_apis)
        self.documents = store.collection("projects")
        self._services = store.collection("projects.services")

    def get(self, id_or_number: str) -> Json | None:
        """Return the project by id or number, as Resource Manager v1 shows it; None when there is none."""
        if re.fullmatch(r"\d+", id_or_number):
            return next((d for d in self.documents.list() if d["projectNumber"] == id_or_number), None)
        return self.documents.get(id_or_number)

    def existing(self, id_or_number: str) -> Json:
        """Return an existing project. Raises KeyError."""
        found = self.get(id_or_number)
        if found is None:
            raise KeyError(id_or_number)
        return found

    def id_of(self, id_or_number: str) -> str:
        """Return the id for a project's number. Ids and unknown numbers are returned unchanged."""
        if re.fullmatch(r"\d+", id_or_number):
            found = self.get(id_or_number)
            return str(found["projectId"]) if found else id_or_number
        return id_or_number

    def number_of(self, project: str) -> str:
        """Return the number (a string of digits) of a project that exists."""
        return str(self.existing(project)["projectNumber"])

    def add(self, project: str, number: str, name: str, created: str, labels: Json, parent: Json | None) -> Json:
        """Create a project with its initial APIs; raises store.AlreadyExists."""
        document: Json = {
            "projectId": project,
            "projectNumber": number,
            "name": name,
            "lifecycleState": "ACTIVE",
            "createTime": created,
        }
        if labels:
            document["labels"] = labels
        if parent:
            document["parent"] = parent
        with self._store.transaction():
            self.documents.insert(project, document)
            for host in self._initial_apis:
                self.enable(project, host)
        return document

    def enabled(self, project: str, host: str) -> bool:
        """Return whether an API (`secretmanager.googleapis.com`) is enabled in a project."""
        return self._services.get(f"{project}/{host}") is not None

    def enable(self, project: str, host: str) -> None:
        """Enable an API."""
        self._services.put(f"{project}/{host}", {})

    def disable(self, project: str, host: str) -> None:
        """Disable an API."""
        self._services.delete(f"{project}/{host}")

    def enabled_services(self, project: str) -> list[str]:
        """Return the hosts of all enabled APIs."""
        return [key.split("/", 1)[1] for key, _ in self._services.items(f"{project}/")]
