# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Databases of instances."""

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
from localcloud.services.sqladmin.documents import SQL

_DEFAULT_COLLATION = "en_US.UTF8"
_SYSTEM = ("postgres", "template0", "template1", "cloudsqladmin")


def _key(call: Call, name: str | None = None) -> str:
    return f"{key_of(call)}/databases/{call.params['database'] if name is None else name}"


def _target(call: Call, name: str) -> Json:
    return {"targetLink": f"{SQL}/{_key(call, name)}"}


@api.method("sql.databases.insert", permission="cloudsql.databases.create")
def insert(call: Call) -> Json:
    """Create a database. Its owner is cloudsqlsuperuser; all users are members, so they can create tables."""
    name = str(call.body.get("name") or "")
    check_sql_name(name, "database")
    charset, collation = call.body.get("charset") or "UTF8", call.body.get("collation") or _DEFAULT_COLLATION
    for value in (charset, collation):
        check_sql_name(value, "charset or collation")
    with call.cloud.store.transaction():
        check_writable(call)
        if name in _SYSTEM or parts(call.cloud, "databases").find(_key(call, name)):
            raise ApiError(409, "alreadyExists", f'database "{name}" already exists')
        args = {"name": name, "charset": charset, "collation": collation}
        operation = start(call, "databases.create", "CREATE_DATABASE", args, metadata=_target(call, name))
    return finished(call, operation)


@step("sqladmin.databases.create")
def create(work: Work) -> None:
    """CREATE DATABASE."""
    cloud, key, name = work.cloud, work.args["key"], work.args["name"]
    engine, collation = private(cloud, key)["engine"], work.args["collation"]
    if collation in (_DEFAULT_COLLATION, "en_US.UTF-8", "en_US.utf8"):
        # ICU provides the sort order: the operating system's locale need not be installed.
        locale = "LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'"
    else:
        locale = f"LC_COLLATE {literal(collation)} LC_CTYPE {literal(collation)}"
    with engine_errors(f"failed to create database {name}"):
        run = cloud.engine.databases.execute
        if not run(engine, f"SELECT 1 FROM pg_database WHERE datname = {literal(name)};"):  # noqa: S608
            run(
                engine,
                f"CREATE DATABASE {identifier(name)} OWNER cloudsqlsuperuser TEMPLATE template0 "
                f"ENCODING {literal(work.args['charset'])} {locale};",
            )
    _, project, _, instance = key.split("/")
    document: Json = {
        "kind": "sql#database",
        "name": name,
        "charset": work.args["charset"],
        "collation": collation,
        "instance": instance,
        "project": project,
        "selfLink": f"{SQL}/{key}/databases/{name}",
    }
    parts(cloud, "databases").documents.put(f"{key}/databases/{name}", document | {"etag": etag(document)})


@api.method("sql.databases.get", permission="cloudsql.databases.get")
def get(call: Call) -> Json:
    """Return one database."""
    check_answers(instance_of(call))
    return parts(call.cloud, "databases").get(_key(call))


@api.method("sql.databases.list", permission="cloudsql.databases.list")
def list_databases(call: Call) -> Json:
    """Return the databases of an instance."""
    check_answers(instance_of(call))
    items = parts(call.cloud, "databases").list(_key(call, ""))
    return {"kind": "sql#databasesList"} | ({"items": items} if items else {})


@api.method("sql.databases.delete", permission="cloudsql.databases.delete")
def delete(call: Call) -> Json:
    """Drop a database. The operation fails while a client is connected to it."""
    with call.cloud.store.transaction():
        check_writable(call)
        parts(call.cloud, "databases").get(_key(call))
        if call.params["database"] in _SYSTEM:
            raise invalid(f"Invalid request: The system database {call.params['database']} cannot be deleted.")
        name = call.params["database"]
        return start(call, "databases.delete", "DELETE_DATABASE", {"name": name}, metadata=_target(call, name))


@step("sqladmin.databases.delete")
def dropped(work: Work) -> None:
    """DROP DATABASE."""
    cloud, key, name = work.cloud, work.args["key"], work.args["name"]
    with engine_errors(f"failed to delete database {name}"):
        cloud.engine.databases.execute(private(cloud, key)["engine"], f"DROP DATABASE IF EXISTS {identifier(name)};")
    parts(cloud, "databases").delete(f"{key}/databases/{name}")
