# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Role variables of the role nginx that are not valid."""

from __future__ import annotations

import json
import re

from . import certificates
from ._context import Context, Values

HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
HEADER = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
PATH = re.compile(r"/[A-Za-z0-9._/-]+")
# The least value of each number.
LEAST = {
    "nginx_certificate_days": 31,
    "nginx_hsts_seconds": 0,
    "nginx_timeout_seconds": 60,
    "nginx_retry_after_seconds": 1,
}
# Headers of the connection, the credentials for MLflow and the client address.
RESERVED_HEADERS = (
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "forwarded",
    "host",
    "proxy-authorization",
    "transfer-encoding",
    "x-forwarded-for",
    "x-mlflow-authorization",
    "x-real-ip",
)


def _hostnames(values: Values, context: Context) -> str:
    given = values["nginx_hostnames"]
    if given and all(HOSTNAME.fullmatch(name) for name in given):
        return ""
    return (
        f"nginx_hostnames: {json.dumps(list(given))} must list at least one name or address, without scheme, port and"
        " wildcard."
    )


def _numbers(values: Values, context: Context) -> str:
    small = [f"{name} ({values[name]}) at least {least}" for name, least in LEAST.items() if int(values[name]) < least]
    return f"These numbers are too small: {', '.join(small)} is required." if small else ""


def _gateway_headers(values: Values, context: Context) -> str:
    given = [str(name) for name in values["nginx_gateway_headers"]]
    wrong = [name for name in given if not HEADER.fullmatch(name) or name.lower() in RESERVED_HEADERS]
    if not wrong:
        return ""
    return (
        f"nginx_gateway_headers: {json.dumps(given)} must list names of request headers, made of letters, digits and"
        f" hyphens. {', '.join(RESERVED_HEADERS)} are never forwarded. Remove {', '.join(wrong)}."
    )


def _configuration(values: Values, context: Context) -> str:
    policy = str(values["nginx_content_security_policy"])
    socket, credential = str(values["nginx_upstream_socket"]), str(values["nginx_certificate_credential"])
    challenges = str(values["nginx_acme_challenges"] or "/none")
    paths = (socket, credential, challenges)
    if not re.search(r'["\r\n\\$]', policy) and all(PATH.fullmatch(path) for path in paths):
        return ""
    return (
        "nginx_content_security_policy must not contain double quotes, backslashes, dollar signs or line ends (it is"
        f" {json.dumps(policy)}); nginx_upstream_socket ('{socket}'), nginx_certificate_credential ('{credential}')"
        f" and nginx_acme_challenges ('{challenges}') must be plain absolute paths."
    )


def _files(values: Values, context: Context) -> list[str]:
    names = ("nginx_certificate_file", "nginx_certificate_key_file")
    if values["nginx_certificate_source"] != "files":
        return []
    if not all(values[name] for name in names):
        return [
            f"nginx_certificate_source is files, but {' or '.join(names)} is empty. Give both, or choose generated or"
            " credential."
        ]
    return certificates.pair(values, context, *names)


CHECKS = (_hostnames, _numbers, _gateway_headers, _configuration)


def refusals(values: Values, context: Context) -> list[str]:
    """Return a message for each refused variable."""
    found = [message for check in CHECKS if (message := check(values, context))]
    return found + _files(values, context)
