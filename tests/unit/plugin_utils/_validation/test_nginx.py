# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Role variables of the role nginx that are refused before the first change."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._validation import refusals

from tests.unit.plugin_utils._validation.context import CONTEXT, values

VALID = {"nginx_hostnames": ["mlflow.example.com", "192.0.2.1"]}


def test_the_defaults_are_valid() -> None:
    assert refusals("nginx", values("nginx", **VALID), CONTEXT) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"nginx_hostnames": []}, "nginx_hostnames: [] must list at least one name"),
        ({"nginx_hostnames": ["https://a.example"]}, 'nginx_hostnames: ["https://a.example"] must list'),
        ({"nginx_hostnames": ["*.example"]}, "without scheme, port and wildcard"),
        ({"nginx_certificate_days": 30}, "nginx_certificate_days (30) at least 31 is required"),
        ({"nginx_hsts_seconds": -1}, "nginx_hsts_seconds (-1) at least 0"),
        ({"nginx_timeout_seconds": "5"}, "nginx_timeout_seconds (5) at least 60"),
        ({"nginx_retry_after_seconds": 0}, "nginx_retry_after_seconds (0) at least 1"),
        ({"nginx_gateway_headers": ["X_Team"]}, "Remove X_Team."),
        ({"nginx_gateway_headers": ["X-Team", "Cookie"]}, "are never forwarded. Remove Cookie."),
        ({"nginx_gateway_headers": ["X-MLflow-Authorization"]}, "Remove X-MLflow-Authorization."),
        ({"nginx_content_security_policy": "$x"}, 'line ends (it is "$x")'),
        ({"nginx_content_security_policy": "a\n"}, "nginx_content_security_policy must not contain double quotes"),
        ({"nginx_upstream_socket": "run/x"}, "nginx_upstream_socket ('run/x')"),
        ({"nginx_certificate_credential": "/run/a b"}, "nginx_certificate_credential ('/run/a b')"),
        ({"nginx_certificate_source": "sky"}, "must be one of: credential, files, generated, got: sky"),
        ({"nginx_certificate_source": "files"}, "nginx_certificate_source is files, but nginx_certificate_file"),
    ],
)
def test_a_refused_value_is_named(changed: dict[str, Any], message: str) -> None:
    found = refusals("nginx", values("nginx", **VALID | changed), CONTEXT)
    assert message in found[0]
