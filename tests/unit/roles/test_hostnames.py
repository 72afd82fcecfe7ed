# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Hostnames are normalised to the form that MLflow and nginx compare."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.roles.evaluated import ROLES, evaluated, load


@pytest.mark.parametrize(
    "settings",
    [
        {"mlflow_deployment": {"server": {"hostnames": ["MLflow.Example.com", "192.0.2.7"]}}},
        {"mlflow_hostnames": ["MLflow.Example.com", "192.0.2.7"]},
    ],
)
def test_mlflow_is_told_hosts_and_origins_in_small_letters(settings: dict[str, Any]) -> None:
    """nginx passes the Host header on in lower case, and MLflow's comparison is case-sensitive."""
    environment = load("vars/main.yml", "mlflow")["__mlflow_environment"]
    hosts = evaluated(environment["MLFLOW_SERVER_ALLOWED_HOSTS"], "mlflow", **settings)
    assert hosts == "mlflow.example.com,192.0.2.7,mlflow.example.com:443,192.0.2.7:443,localhost"
    origins = evaluated(environment["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"], "mlflow", **settings)
    assert origins == "https://mlflow.example.com,https://192.0.2.7"


def test_a_name_that_is_given_twice_is_one() -> None:
    """nginx refuses a map with a duplicate origin, and ignores the case."""
    settings = {
        "nginx_hostnames": ["MLflow.Example.com", "mlflow.example.com", "192.0.2.7", "192.0.2.7"],
        "ansible_facts": {"distribution": "Debian", "distribution_major_version": "13"},
        "ansible_managed": "",
    }
    site = evaluated(
        (ROLES / "nginx" / "templates" / "mlflow.conf.j2").read_text(encoding="utf-8"), "nginx", **settings
    )
    assert site.lower().count('"https://mlflow.example.com" 0;') == 1
    assert site.count('"https://192.0.2.7" 0;') == 1
    assert "server_name mlflow.example.com 192.0.2.7;" in site
    names = evaluated("{{ __nginx_subject_alt_names }}", "nginx", **settings)
    assert names == ["IP:192.0.2.7", "DNS:mlflow.example.com"]
