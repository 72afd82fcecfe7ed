# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check ``mlflow_users`` and ``mlflow_roles``. Their types were checked before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...module_utils._mlflow_grants import WORKSPACE, is_hidden_role, wrong_grant
from .. import _authentication
from .._accounts import is_present, required_release
from ._context import Values

USERS, ROLES = "mlflow_users", "mlflow_roles"
# Option with the object of a permission.
OBJECT = {USERS: "resource_id", ROLES: "resource_pattern"}
Entry = Mapping[str, Any]


def refusals(values: Values) -> list[str]:
    """Return a message for each invalid entry, and for a release of MLflow without the features."""
    mode = _authentication.find(values["mlflow_authentication"])
    if mode.identity is None and (values[ROLES] or values[USERS]):
        return [
            f"{USERS} and {ROLES} are accounts of MLflow. With mlflow_authentication {mode.name} the application has"
            " its own accounts. Remove the entries."
        ]
    return [*_roles(values), *_users(values), *_release(values)]


def _roles(values: Values) -> Iterator[str]:
    yield from _repeated(ROLES, values[ROLES])
    for role in values[ROLES]:
        if not role["name"] or is_hidden_role(role["name"]):
            yield f"{ROLES}: '{role['name']}' is not a possible name of a role. Choose another name, not __user_…"
        yield from _permissions(ROLES, role)


def _users(values: Values) -> Iterator[str]:
    mode = _authentication.find(values["mlflow_authentication"])
    roles = {role["name"] for role in values[ROLES] if is_present(role)}
    yield from _repeated(USERS, values[USERS])
    for user in values[USERS]:
        name = user["name"]
        if not name.strip() or ":" in name:
            yield f"{USERS}: '{name}' cannot sign in. Choose a name without a colon."
        if name == values["mlflow_admin_username"]:
            yield (
                f"{USERS}: {name} is the administrator of the deployment (mlflow_admin_username), whom the playbooks"
                " use. Remove this entry."
            )
        if mode.single_sign_on and name != name.lower():
            yield (
                f"{USERS}: with mlflow_authentication {mode.name}, MLflow knows people by their lower-case addresses."
                f" Replace {name} by {name.lower()}."
            )
        if not is_present(user):
            continue
        if mode.single_sign_on and user.get("secret_accessors"):
            yield (
                f"{USERS}: with mlflow_authentication {mode.name}, {name} has no generated password. Remove"
                " secret_accessors."
            )
        if unknown := [role for role in user.get("roles") or () if role not in roles]:
            yield (
                f"{USERS}: {name} has the role {', '.join(unknown)}, which is not in {ROLES}. Add it to {ROLES}, or"
                " remove it from the user."
            )
        yield from _permissions(USERS, user)


def _repeated(variable: str, entries: Iterable[Entry]) -> Iterator[str]:
    for name, times in Counter(entry["name"] for entry in entries).items():
        if times > 1:
            yield f"{variable} has {times} entries {name}. Keep one of them."


def _permissions(variable: str, entry: Entry) -> Iterator[str]:
    """Yield a message for each permission that MLflow would refuse, after other changes were made."""
    if not is_present(entry):
        return
    seen: Counter[tuple[str, str, str]] = Counter()
    for each in entry.get("permissions") or ():
        kind, experiment = each["resource_type"], each.get("experiment_name")
        pattern = each.get(OBJECT[variable])
        where = f"{variable}: {entry['name']}, permission on {kind} {experiment or pattern or ''}".rstrip()
        if bool(experiment) == bool(pattern):
            yield f"{where}: set {OBJECT[variable]} or experiment_name, not both."
            continue
        seen[kind, OBJECT[variable] if pattern else "experiment_name", str(experiment or pattern)] += 1
        if kind == WORKSPACE and variable == USERS:
            yield f"{where}: only a role can have this permission. Move it to {ROLES}."
        elif experiment and kind != "experiment":
            yield f"{where}: experiment_name names only an experiment. Set {OBJECT[variable]}."
        elif is_present(each) and not each.get("permission"):
            yield f"{where}: set permission."
        elif wrong := wrong_grant(kind, pattern or "", each.get("permission") or "READ"):
            yield f"{where}: {wrong}."
    for (kind, _option, name), times in seen.items():
        if times > 1:
            yield f"{variable}: {entry['name']} has {times} permissions on {kind} {name}. Keep one of them."


def _release(values: Values) -> Iterator[str]:
    version = str(values["mlflow_version"])
    required = required_release(values[ROLES], values[USERS])
    numbers = [int(part) for part in version.split(".")[:2] if part.isdecimal()]
    if required["version"] and len(numbers) == 2 and numbers < _numbers(required["version"]):
        yield (
            f"mlflow_version: the entries of {required['variables']} need MLflow {required['version']} or newer, and"
            f" the release is {version}. Set a newer mlflow_version, or remove the entries."
        )


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")[:2]]
