# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Common options of the modules. Their documentation is in plugins/doc_fragments/gcp.py."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import env_fallback

Spec = dict[str, dict[str, Any]]


def common() -> Spec:
    """Return the options for project and authentication (fragment ``mlops.mlflow_gcp.gcp``)."""
    return {
        "project": {
            "type": "str",
            "required": True,
            "fallback": (env_fallback, ["GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT"]),
        },
        "auth_kind": {
            "type": "str",
            "default": "application",
            "fallback": (env_fallback, ["GCP_AUTH_KIND"]),
            "choices": ["application", "service_account_file", "access_token"],
        },
        "service_account_file": {"type": "path", "fallback": (env_fallback, ["GCP_SERVICE_ACCOUNT_FILE"])},
        "access_token": {"type": "str", "no_log": True, "fallback": (env_fallback, ["CLOUDSDK_AUTH_ACCESS_TOKEN"])},
        "impersonate_service_account": {
            "type": "str",
            "fallback": (env_fallback, ["CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT"]),
        },
        "timeout": {"type": "int", "default": 1800},
    }


def state() -> Spec:
    """Return the option ``state`` (fragment ``mlops.mlflow_gcp.gcp.state``)."""
    return {"state": {"type": "str", "default": "present", "choices": ["present", "absent"]}}


def wait() -> Spec:
    """Return the option ``wait`` (fragment ``mlops.mlflow_gcp.gcp.wait``), for resources that take minutes."""
    return {"wait": {"type": "bool", "default": True}}
