# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Users. Only the handler sees a password: operations and PostgreSQL get its SCRAM verifier."""

from __future__ import annotations

from localcloud.core.errors import ApiError
from localcloud.framework.cloud import Work, step
from localcloud.framework.service import Call, Json
from localcloud.services.sqladmin.api import (
    api,
    check_answers,
    check_sql_name,
    check_writable,
    engine_errors,
    etag,
    finished,
    identifier,
    instance_of,
    invalid,
    key_of,
    literal,
    parts,
    private,
    start,
)
from localcloud.services.sqladmin.secrets import verifier
from localcloud.services.sqladmin.steps import USER, has_role


def _key(call: Call, name: str) -> str:
    return f"{key_of(call)}/users/{name}"


def _check(user: Json) -> None:
    if user.get("type") not in (None, "BUILT_IN"):
        raise ApiError(501, None, f"Users of type {user['type']} are not in the local cloud.")
    if user.get("databaseRoles") or user.get("passwordPolicy"):
        raise ApiError(501, None, "databaseRoles and passwordPolicy are not in the local cloud.")


@api.method("sql.users.insert", permission="cloudsql.users.create")
def insert(call: Call) -> Json:
    """Create a user, a member of cloudsqlsuperuser with CREATEDB and CREATEROLE."""
    name = str(call.body.get("name") or "")
    check_sql_name(name, "user")
    _check(call.body)
    if name.startswith(("pg_", "cloudsql")):
        raise invalid(f"Invalid request: The user name {name} is reserved.")
    password = call.body.get("password")
    if not password:
        raise invalid("Invalid request: Password is required for built-in users.")
    args = {"name": name, "verifier": verifier(password)}
    with call.cloud.store.transaction():
        check_writable(call)
        if parts(call.cloud, "users").find(_key(call, name)):
            raise ApiError(409, "alreadyExists", f"The user {name} already exists.")
        operation = start(call, "users.create", "CREATE_USER", args)
    return finished(call, operation)


@step("sqladmin.users.create")
def create(work: Work) -> None:
    """CREATE ROLE."""
    cloud, key, name = work.cloud, work.args["key"], work.args["name"]
    engine = private(cloud, key)["engine"]
    rights = f"{identifier(name)} LOGIN CREATEDB CREATEROLE PASSWORD {literal(work.args['verifier'])}"
    with engine_errors(f"failed to create user {name}"):
        if has_role(cloud, engine, name):
            cloud.engine.databases.execute(engine, f"ALTER ROLE {rights};")
        else:
            cloud.engine.databases.execute(engine, f"CREATE ROLE {rights};")
        cloud.engine.databases.execute(engine, f"GRANT cloudsqlsuperuser TO {identifier(name)};")
    _, project, _, instance = key.split("/")
    user: Json = {
        "kind": "sql#user",
        "name": name,
        "host": "",
        "instance": instance,
        "project": project,
    } | USER
    parts(cloud, "users").documents.put(f"{key}/users/{name}", user | {"etag": etag(user)})


@api.method("sql.users.list", permission="cloudsql.users.list")
def list_users(call: Call) -> Json:
    """Return the users of an instance."""
    check_answers(instance_of(call))
    items = parts(call.cloud, "users").list(_key(call, ""))
    return {"kind": "sql#usersList"} | ({"items": items} if items else {})


def _existing(call: Call) -> str:
    name = str(call.params.get("name") or "")
    if not name:
        raise ApiError(400, "required", "Missing parameter: name.")
    check_writable(call)
    parts(call.cloud, "users").get(_key(call, name))
    return name


@api.method("sql.users.update", permission="cloudsql.users.update")
def update(call: Call) -> Json:
    """Set a user's password. Google's clients name the user in the query and in the body."""
    _check(call.body)
    names = {"instance": key_of(call).rsplit("/", 1)[1], "project": call.project, "name": call.params.get("name")}
    for field, value in names.items():
        if call.body.get(field, None if field == "name" else value) != value:
            raise invalid(f"Invalid request: {field} of the user in the body is not that of the request.")
    password = call.body.get("password")
    args = {"verifier": verifier(password)} if password else {}
    with call.cloud.store.transaction():
        return start(call, "users.update", "UPDATE_USER", {"name": _existing(call), **args})


@step("sqladmin.users.update")
def changed(work: Work) -> None:
    """ALTER ROLE."""
    name = work.args["name"]
    if "verifier" not in work.args:
        return
    with engine_errors(f"failed to update user {name}"):
        work.cloud.engine.databases.execute(
            private(work.cloud, work.args["key"])["engine"],
            f"ALTER ROLE {identifier(name)} PASSWORD {literal(work.args['verifier'])};",
        )


@api.method("sql.users.delete", permission="cloudsql.users.delete")
def delete(call: Call) -> Json:
    """Drop a user. The operation fails while the user owns objects."""
    with call.cloud.store.transaction():
        operation = start(call, "users.delete", "DELETE_USER", {"name": _existing(call)})
    return finished(call, operation)


@step("sqladmin.users.delete")
def dropped(work: Work) -> None:
    """DROP ROLE."""
    cloud, key, name = work.cloud, work.args["key"], work.args["name"]
    with engine_errors(f"failed to delete user {name}"):
        cloud.engine.databases.execute(private(cloud, key)["engine"], f"DROP ROLE IF EXISTS {identifier(name)};")
    parts(cloud, "users").delete(f"{key}/users/{name}")
