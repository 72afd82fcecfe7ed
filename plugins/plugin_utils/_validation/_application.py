# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Role variables of the role mlflow for an own application: packages, secrets, database."""

from __future__ import annotations

import re
from collections.abc import Collection

from ...module_utils import _requirements
from .. import _authentication
from ._context import Context, Values
from .credentials import SECRET

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
DATABASE = re.compile(r"[a-z_][a-z0-9_]{0,52}")


def application(values: Values, context: Context) -> str:
    """Return why the name or the database of the application is refused."""
    name, mode = str(values["mlflow_app_name"]), _authentication.find(values["mlflow_authentication"])
    if mode.app_name:
        if not name:
            return ""
        return (
            f"mlflow_app_name is '{name}', but the application of mlflow_authentication '{mode.name}' is"
            f" {mode.app_name}. Set mlflow_authentication to application, or remove mlflow_app_name."
        )
    modes = [each for each in _authentication.AUTHENTICATIONS.values() if each.app_name == name]
    if not NAME.fullmatch(name) or modes:
        other = f" With mlflow_authentication '{modes[0].name}', this application is used." if modes else ""
        return (
            f"mlflow_app_name is '{name}', which is not the name of an own application.{other} Give the name of an"
            " entry point of the group mlflow.app in a package of mlflow_extra_requirements_file, such as oidc-auth."
        )
    if not values["mlflow_extra_requirements_file"] and not values["mlflow_requirements_file"]:
        return (
            f"mlflow_app_name is '{name}', but no package of the release has this application: set"
            " mlflow_extra_requirements_file to a lock file with its package."
        )
    database = str(values["mlflow_application_database"])
    if not DATABASE.fullmatch(database) or database in ("mlflow", "postgres", values["mlflow_auth_database"]):
        return (
            f"mlflow_application_database is '{database}'. Give a name of lower-case letters, digits and underscores"
            " that is no other database of the deployment, such as mlflow_application."
        )
    return ""


def packages(values: Values, context: Context) -> str:
    """Return why the lock file with the additional packages is refused."""
    given = str(values["mlflow_extra_requirements_file"])
    if not given:
        return ""
    path = context.find(given)
    if path is None:
        return (
            f"mlflow_extra_requirements_file is '{given}', which is no file on the control node. Give the path of a"
            " lock file."
        )
    if problem := _requirements.problem(path.read_text(encoding="utf-8")):
        return (
            f"mlflow_extra_requirements_file is '{given}', which {problem}. Create the file with uv pip compile"
            " --generate-hashes --no-emit-package mlflow, as in docs/operations/own-application.md."
        )
    return ""


def variables(values: Values, reserved: Collection[str]) -> str:
    """Return why the secret environment variables are refused. `reserved` are the names that the role sets itself."""
    secrets = values["mlflow_secret_environment"]
    for name, secret in secrets.items():
        if not VARIABLE.fullmatch(str(name)) or name in reserved or name in values["mlflow_environment"]:
            return (
                f"mlflow_secret_environment: {name} is a name that is not upper case, is in mlflow_environment too, or"
                " is a name that the role sets itself. Correct or remove the entry."
            )
        if not SECRET.fullmatch(str(secret)):
            return (
                f"mlflow_secret_environment: the value of {name} is not the ID of a secret. Store the value in Secret"
                " Manager, and give the ID of that secret in the project of the deployment."
            )
    database = str(values["mlflow_application_database_variable"])
    if database and (
        not VARIABLE.fullmatch(database)
        or database in {*reserved, *secrets}
        or database in values["mlflow_environment"]
    ):
        return (
            f"mlflow_application_database_variable is '{database}'. Give the name of an environment variable that is"
            " not in mlflow_environment or mlflow_secret_environment and that the role does not set itself, such as"
            " OIDC_USERS_DB_URI."
        )
    if database and _authentication.find(values["mlflow_authentication"]).app_name:
        return (
            f"mlflow_application_database_variable is '{database}', but the deployment has no own application. Set"
            " mlflow_authentication to application, or remove mlflow_application_database_variable."
        )
    return ""
