# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Role variables of the role credentials that are not valid."""

from __future__ import annotations

import json
import re
from typing import Any

from ._context import Context, Values

PROJECT = re.compile(r"([a-z][-a-z0-9.]*:)?[a-z][-a-z0-9]{4,28}[a-z0-9]|[0-9]+")
NAME = re.compile(r"[a-z][a-z0-9-]*[.][a-z][a-z0-9-]*")
SECRET = re.compile(r"[A-Za-z0-9_-]{1,255}")
VERSION = re.compile(r"latest|[1-9][0-9]*")


def _item(item: dict[str, Any], source: str) -> str:
    valid = (
        NAME.fullmatch(str(item["name"]))
        and (source == "credstore" or SECRET.fullmatch(str(item.get("secret") or "")))
        and VERSION.fullmatch(str(item.get("version") or "latest"))
    )
    if valid:
        return ""
    return (
        f"credentials_items: {json.dumps(item)} is not valid. Give a name such as mlflow.database-uri, the name of the"
        " secret, and a number or latest as version."
    )


def refusals(values: Values, context: Context) -> list[str]:
    """Return a message for each refused variable."""
    project = str(values["credentials_project"] or "")
    found = [_item(item, values["credentials_source"]) for item in values["credentials_items"]]
    if project and not PROJECT.fullmatch(project):
        found.append(
            f"credentials_project: '{project}' is not a Google Cloud project ID. Give an ID such as my-project-123, or"
            " an empty value for the project of the VM."
        )
    return [message for message in found if message]
