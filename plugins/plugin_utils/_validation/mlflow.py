# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Role variables of the role mlflow that are not valid."""

from __future__ import annotations

import json
import re

from ...module_utils._server_plan import server_plan
from .._authentication import SINGLE_SIGN_ON_VERSION, find
from .._role_variables import ROLES
from . import _accounts, _application, _identities
from ._context import Context, Values

VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:(rc|\.post)(\d+))?")
DESTINATION = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/\S*)?|/\S+")
HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
# The least value of each number.
LEAST = {
    "mlflow_workers": 0,
    "mlflow_cpus": 0,
    "mlflow_database_max_connections": 0,
    "mlflow_auth_cache_ttl_seconds": 0,
    "mlflow_direct_transfer_minimum_bytes": 0,
    "mlflow_direct_transfer_url_seconds": 1,
    "mlflow_graceful_shutdown_timeout": 1,
    "mlflow_start_timeout": 30,
    "mlflow_drain_timeout": 0,
    "mlflow_keep_releases": 0,
}
POOL = ("mlflow_database_pool_size", "mlflow_database_max_overflow")
LEAST_CONNECTIONS = 9
# The role or the launcher sets these variables. In mlflow_environment they would have no effect, or weaken the
# protection.
OWN_ENVIRONMENT = (
    "MLFLOW_AUTH_ADMIN_PASSWORD",
    "MLFLOW_AUTH_ADMIN_USERNAME",
    "MLFLOW_AUTH_CONFIG_PATH",
    "MLFLOW_BACKEND_STORE_URI",
    "MLFLOW_BASIC_AUTH_FAIL_CLOSED",
    "MLFLOW_CRYPTO_KEK_PASSPHRASE",
    "MLFLOW_CRYPTO_KEK_VERSION",
    "MLFLOW_DISABLE_TELEMETRY",
    "MLFLOW_ENABLE_REMOTE_ASSISTANT",
    "MLFLOW_FLASK_SERVER_SECRET_KEY",
    "MLFLOW_GATEWAY_RESOLVE_API_KEY_FROM_ENV",
    "MLFLOW_GATEWAY_RESOLVE_API_KEY_FROM_FILE",
    "MLFLOW_GCP_SERVER_SETTINGS",
    "MLFLOW_SERVER_ALLOWED_HOSTS",
    "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS",
    "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE",
    "MLFLOW_SERVER_ENABLE_GRAPHQL_AUTH",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION",
    "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW",
    "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_UC_OSS_TOKEN",
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY",
    "PGPASSFILE",
    "PYTHONPATH",
    "TMPDIR",
    "_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED",
    "_MLFLOW_INTERNAL_GATEWAY_AUTH_TOKEN",
)
SECRETS = {
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": "NAME-webhook-encryption-key",
    "MLFLOW_CRYPTO_KEK_PASSPHRASE": "NAME-crypto-kek-passphrase",
}


def _order(version: str) -> tuple[int, ...] | None:
    """Return numbers that order versions, None if the text is no version. A release candidate comes first."""
    found = VERSION.fullmatch(version)
    if found is None:
        return None
    major, minor, patch, kind, number = found.groups()
    return int(major), int(minor), int(patch), {"rc": -1, ".post": 1}.get(kind or "", 0), int(number or 0)


def _version(values: Values, context: Context) -> str:
    version, minimum = str(values["mlflow_version"]), str(values["mlflow_minimum_version"])
    order, least = _order(version), _order(minimum)
    if order is None or least is None or order < least:
        return (
            f"mlflow_version: '{version}' is not a release that may be exposed. Give {minimum} (mlflow_minimum_version)"
            " or newer, such as 3.17.2."
        )
    least = _order(SINGLE_SIGN_ON_VERSION)
    if least and order < least and find(values["mlflow_authentication"]).single_sign_on:
        return (
            f"mlflow_version: MLflow '{version}' does not support mlflow_authentication"
            f" '{values['mlflow_authentication']}'. Give {SINGLE_SIGN_ON_VERSION} or newer, or set"
            " mlflow_authentication to basic."
        )
    requirements = str(values["mlflow_requirements_file"]) or str(
        ROLES / "mlflow/files" / f"requirements-{version}.txt"
    )
    if context.find(requirements) is None:
        return (
            f"mlflow_version: there is no locked requirements file {requirements}. Choose a version that the role"
            " ships, or set mlflow_requirements_file."
        )
    return ""


def _destination(values: Values, context: Context) -> str:
    given = str(values["mlflow_artifacts_destination"])
    if DESTINATION.fullmatch(given):
        return ""
    return (
        f"mlflow_artifacts_destination: '{given}' is neither gs://BUCKET nor an absolute directory. Set one of these."
    )


def _temporary(values: Values, context: Context) -> str:
    given = str(values["mlflow_temporary_directory"])
    if re.fullmatch(r"/[^\s:]*[^\s:/]", given) and not re.match(r"/(var/)?tmp/", given):
        return ""
    return (
        f"mlflow_temporary_directory: '{given}' must be an absolute directory. The service has a private /tmp and"
        " /var/tmp: set one of them, or a directory outside both."
    )


def _hostnames(values: Values, context: Context) -> str:
    given = values["mlflow_hostnames"]
    if given and all(HOSTNAME.fullmatch(name) for name in given):
        return ""
    return (
        f"mlflow_hostnames: {json.dumps(list(given))} must list at least one name or address, without scheme, port and"
        " wildcard."
    )


def _numbers(values: Values, context: Context) -> str:
    small = [f"{name} ({values[name]}) at least {least}" for name, least in LEAST.items() if int(values[name]) < least]
    size, overflow = (int(values[name]) for name in POOL)
    if (size, overflow) != (0, 0) and (min(size, overflow) < 1 or size + overflow < LEAST_CONNECTIONS):
        return (
            f"{POOL[0]} ({size}) and {POOL[1]} ({overflow}) must both be 0, or each at least 1 and their sum at least"
            f" {LEAST_CONNECTIONS}."
        )
    return f"These numbers are too small: {', '.join(small)} is required." if small else ""


def _connections(values: Values, context: Context) -> str:
    names = {"workers": "mlflow_workers", "pool_size": POOL[0], "max_overflow": POOL[1]}
    given = {key: int(values[name]) for key, name in names.items()}
    allowed = int(values["mlflow_database_max_connections"])
    cpus = int(values["mlflow_cpus"]) or context.cpus
    jobs = values["mlflow_job_execution"] in (True, "true", "True", "yes", "on", "1")
    plan = server_plan(**given, cpus=cpus, max_connections=allowed, jobs=jobs)
    if plan.fits:
        return ""
    return (
        f"mlflow_workers: the server may need {plan.connections} database connections, and the database allows"
        f" {allowed} (max_connections): {plan.sum}. Lower mlflow_workers or mlflow_database_pool_size, or raise"
        " max_connections in infrastructure_database_flags together with infrastructure_database_tier."
    )


def _names(values: Values, context: Context) -> str:
    database, admin = str(values["mlflow_auth_database"]), str(values["mlflow_admin_username"])
    if re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", database) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@+-]*", admin):
        return ""
    return f"mlflow_auth_database: '{database}' or mlflow_admin_username: '{admin}' is not a valid name."


def _environment(values: Values, context: Context) -> str:
    given = values["mlflow_environment"]
    for name, secret in SECRETS.items():
        if name in given:
            return (
                f"mlflow_environment: {name} is a secret of the deployment. Remove it from mlflow_environment. To keep"
                f" its value, store the value in the secret {secret} before site.yml creates one."
                " docs/operations/stored-secrets.md has the commands."
            )
    wrong = [name for name in given if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name) or name in OWN_ENVIRONMENT]
    wrong += [name for name, value in given.items() if re.search(r"[\r\n]", str(value))]
    if not wrong:
        return ""
    return (
        f"mlflow_environment: {', '.join(wrong)} is a name that is not upper case, a name that the role sets itself"
        f" ({', '.join(OWN_ENVIRONMENT)}), or has a value of several lines. Correct or remove the entry."
    )


def _variables(values: Values, context: Context) -> str:
    return _application.variables(values, OWN_ENVIRONMENT)


CHECKS = (
    *(_version, _destination, _temporary, _hostnames, _numbers, _names, _environment),
    *(_application.application, _application.packages, _variables),
)


def refusals(values: Values, context: Context) -> list[str]:
    """Return a message for each refused variable. The connections are computed from valid numbers only."""
    found = [message for check in CHECKS if (message := check(values, context))]
    found += [*_identities.refusals(values), *_accounts.refusals(values)]
    return found or [message for message in [_connections(values, context)] if message]
