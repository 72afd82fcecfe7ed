# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The parts of the nginx configuration that the role of an authentication mode writes. tests/front_end runs nginx."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.mlops.mlflow_gcp.plugins.modules.mlflow_front_end_secret import OPTIONS
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._authentication import AUTHENTICATIONS, OAUTH2_PROXY

from tests.unit.roles.evaluated import ROLES

SITE = (ROLES / "nginx" / "templates" / "mlflow.conf.j2").read_text(encoding="utf-8")
# The headers with which nginx tells MLflow who the user is.
IDENTITY = ["X-MLflow-Authorization", *(f"X-MLflow-Identity-{part}" for part in ("Groups", "Domain", "Method"))]


@pytest.mark.parametrize("name", AUTHENTICATIONS)
def test_each_mode_installs_the_files_that_the_site_includes(name: str) -> None:
    role = ROLES / AUTHENTICATIONS[name].role
    tasks = yaml.safe_load((role / "tasks" / "nginx.yml").read_text(encoding="utf-8"))
    (installed,) = [task["loop"] for task in tasks if "ansible.builtin.template" in task]
    assert set(installed) == set(re.findall(r"mlflow-authentication-(\w+)\.conf", SITE))
    assert {path.name for path in (role / "templates").glob("*.conf.j2")} >= {f"{part}.conf.j2" for part in installed}


@pytest.mark.parametrize("name", AUTHENTICATIONS)
def test_each_mode_overwrites_the_headers_of_an_identity(name: str) -> None:
    text = (ROLES / AUTHENTICATIONS[name].role / "templates" / "server.conf.j2").read_text(encoding="utf-8")
    of_server = re.findall(r"^proxy_set_header (\S+) ", text, re.MULTILINE)
    assert [header for header in IDENTITY if header not in of_server] == []


def test_the_secret_is_where_mlflow_and_nginx_read_it() -> None:
    credential, include = (str(OPTIONS[name]["default"]) for name in ("credential", "include"))
    assert (Path(credential).parent, Path(credential).name) == (Path("/etc/credstore"), *OAUTH2_PROXY.vm_credentials)
    text = (ROLES / OAUTH2_PROXY.role / "templates" / "http.conf.j2").read_text(encoding="utf-8")
    assert f"include {include};" in text
