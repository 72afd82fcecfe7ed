# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Both filter languages of Compute's lists."""

from __future__ import annotations

import pytest

from localcloud.services.compute.filters import FilterError, compile_filter

VM = {
    "name": "mlflow-server",
    "status": "RUNNING",
    "labels": {"app": "mlflow", "a.b": "c"},
    "scheduling": {"automaticRestart": True},
    "tags": {"items": ["web", "ssh"]},
    "networkInterfaces": [{"networkIP": "10.128.0.2"}],
    "zone": "https://www.googleapis.com/compute/v1/projects/p/zones/europe-west1-b",
    "creationTimestamp": "2026-01-02T03:04:05.000Z",
    "guestCpus": 8,
}


@pytest.mark.parametrize(
    "text",
    [
        "name=mlflow-server",
        'name = "mlflow-server"',
        "name='mlflow-server'",
        "name=mlflow-*",
        "name != other",
        "name:mlflow*",
        "name:server",
        "labels.app=mlflow",
        "labels.app:*",
        "labels.a.b=c",
        "labels:app",
        "status=RUNNING labels.app=mlflow",
        "status=RUNNING AND labels.app=mlflow",
        "(status=RUNNING) AND (name=x OR name=mlflow-server)",
        "status=RUNNING name=x OR name=mlflow-server",
        "NOT status=TERMINATED",
        "-status=TERMINATED",
        "NOT (status=TERMINATED OR name=x)",
        "scheduling.automaticRestart=true",
        "scheduling.automatic_restart=true",
        "tags.items=ssh",
        "networkInterfaces.networkIP=10.128.0.2",
        "zone:europe-west1-b",
        "guestCpus>4",
        "guestCpus<=8",
        'creationTimestamp>"2025-12-31"',
        "name eq mlflow.*",
        "name eq mlflow-(server|client)",
        '(name eq ".*\\bserver\\b.*")',
        r'(name eq ".*\bmlflow\-server\b.*") (status ne TERMINATED)',
        "(labels.app eq mlflow)",
        "(labels.app eq mlflow)(status eq RUNNING)",
        "scheduling.automaticRestart eq true",
    ],
)
def test_passes(text: str) -> None:
    assert compile_filter(text)(VM)


@pytest.mark.parametrize(
    "text",
    [
        "name=mlflow",
        "name!=mlflow-server",
        "labels.app=other",
        "labels.none:*",
        "labels.none=mlflow",
        "status=RUNNING name=x",
        "status=TERMINATED OR name=x",
        "NOT status=RUNNING",
        "tags.items!=ssh",
        "guestCpus<8",
        "name eq mlflow",
        "name ne mlflow.*",
        "(name eq mlflow.*) (status eq STOPPED)",
    ],
)
def test_does_not_pass(text: str) -> None:
    assert not compile_filter(text)(VM)


@pytest.mark.parametrize("text", ["name", "name=", "(name=x", "name=x)", "=x", "name ~ x", "name eq [", "name = (x)"])
def test_is_no_filter(text: str) -> None:
    with pytest.raises(FilterError):
        compile_filter(text)
