# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The report of a planned rotation."""

from __future__ import annotations

DOCUMENTATION = r"""
name: rotation_plan
short_description: The report of a planned rotation
version_added: 0.1.0
description:
  - Returns a line for each step of the role P(mlops.mlflow_gcp.rotate#role).
options:
  _input:
    description: Entries of C(mlflow_deployment.rotations) that are rotated.
    type: list
    elements: dict
    required: true
  database:
    description:
      - The user that the server uses (C(user)), the next user (C(next)) and the owner of the tables (C(owner)).
      - C(missing) and C(objects) are the result of C(mlflowctl run-job rotate prepare --dry-run).
    type: dict
  stored:
    description: Result of C(mlflowctl run-job stored-secrets check).
    type: dict
  unreadable:
    description: Value of O(mlops.mlflow_gcp.rotate#role:main:rotate_unreadable_webhooks).
    type: str
  old_versions:
    description: Value of O(mlops.mlflow_gcp.rotate#role:main:rotate_old_versions).
    type: str
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Report the planned rotation
  ansible.builtin.debug:
    msg: "{{ rotations | mlops.mlflow_gcp.rotation_plan(unreadable='kept', old_versions='disabled') }}"
"""

RETURN = r"""
_value:
  description: The lines of the report.
  type: list
  elements: str
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]
EFFECTS = {
    "flask_secret_key": "new; browser forms that are open must be loaded again",
    "oauth2_proxy_client_secret": "the value of the role variable; only new sign-ins use it",
    "oauth2_proxy_cookie_secret": "new; all people must sign in again",
    "certificate": "new key, same certificate authority (CA)",
}


def _database(database: Json) -> Iterator[str]:
    user, following, owner = (database[key] for key in ("user", "next", "owner"))
    yield (
        f"database password: new for {following}, which the server uses from the cutover on; {user} then gets a random"
        " password that is not stored"
    )
    missing, objects = list(database.get("missing") or []), sum((database.get("objects") or {}).values())
    parts = [f"create {', '.join(missing)}"] if missing else []
    parts += [f"change the owner of {objects} objects from {user} to {owner}"] if objects else []
    if parts:
        yield f"database, first rotation only: {'; '.join(parts)}"


def _key_ring(rotation: Json, rows: Json) -> str:
    count = int(rows.get("current", 0)) + len(rows.get("earlier", []))
    return f"{rotation['title']}: new; re-encrypted rows: {count}"


def _lines(rotations: Sequence[Json], database: Json, stored: Json, unreadable: str) -> Iterator[str]:
    for rotation in rotations:
        name = rotation["name"]
        if name == "database_password":
            yield from _database(database)
        elif rotation["key_ring"]:
            rows = stored.get("webhooks" if name == "webhook_encryption_key" else "gateway", {})
            yield _key_ring(rotation, rows)
            if name == "webhook_encryption_key" and rows.get("unreadable"):
                yield f"webhook secrets that no key decrypts: {', '.join(rows['unreadable'])}: {unreadable}"
        else:
            yield f"{rotation['title']}: {EFFECTS.get(name, 'new')}"


def rotation_plan(
    rotations: Sequence[Json],
    *,
    database: Json | None = None,
    stored: Json | None = None,
    unreadable: str,
    old_versions: str,
) -> list[str]:
    """Return the lines of the report."""
    found = list(_lines(rotations, database or {}, stored or {}, unreadable))
    return [*found, f"former versions of the secrets: {old_versions}"]


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"rotation_plan": rotation_plan}
