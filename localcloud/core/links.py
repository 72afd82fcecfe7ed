# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Links to resources. Clients spell them in many ways; the local cloud stores one."""

from __future__ import annotations

import re
from collections.abc import Callable

# Any host: clients build links from the endpoint that they use. Without a host, a version or nothing.
_BEFORE = re.compile(
    r"(?:(?:https?:)?//[^/]+/(?:[\w.-]+/)*?|/?(?:(?:[a-z]+/)?(?:v\d\w*|beta|alpha)/)?)"
    r"(?=(?:projects|global|regions|zones)/)"
)
_IN_PROJECT = re.compile(r"projects/(?P<project>[^/]+)/(?P<rest>[^/].*)")
_PARTIAL = re.compile(r"(?:global|regions/[^/]+|zones/[^/]+)/.+")


def relative_name(link: str, project_id: Callable[[str], str], project: str | None = None) -> str | None:
    """Return the relative name `projects/ID/…` that a link means, or None for another text.

    Spellings: a URL of any host and version (`https://API.googleapis.com/v1/projects/…`), a full resource name
    (`//API.googleapis.com/projects/…`), `projects/…` with the project's id or number, and, with `project`, the
    partial forms `global/…`, `regions/R/…` and `zones/Z/…`. `project_id` maps a project's number to its id.
    """
    before = _BEFORE.match(link)
    path = link[before.end() :].rstrip("/") if before else ""
    if project is not None and _PARTIAL.fullmatch(path):
        return f"projects/{project}/{path}"
    found = _IN_PROJECT.fullmatch(path)
    return f"projects/{project_id(found['project'])}/{found['rest']}" if found else None
