# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Google's APIs: missing resources, missing permissions and the deletion of an object."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.cloud import Cloud as Google
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.results import NotCheckedError

from tests.unit.harness import PROJECT, Cloud


def test_a_missing_resource(cloud: Cloud, google: Google) -> None:
    cloud.get("compute", f"projects/{PROJECT}/zones/europe-west1-b/instances/mlflow-server", None)
    with pytest.raises(NotCheckedError, match="HTTP 404") as error:
        google.instance("mlflow-server")
    assert error.value.remedy == "create the resource: ansible-playbook site.yml"


def test_a_missing_permission(cloud: Cloud, google: Google) -> None:
    message = "Required 'compute.instances.get' permission for 'mlflow-server'"
    cloud.fails(
        "GET", "compute", f"projects/{PROJECT}/zones/europe-west1-b/instances/mlflow-server", 403, "forbidden", message
    )
    with pytest.raises(NotCheckedError, match="HTTP 403") as error:
        google.instance("mlflow-server")
    assert "compute.instances.get" in error.value.remedy


def test_an_object_is_removed_at_any_generation(cloud: Cloud, google: Google) -> None:
    cloud.expect("DELETE", "storage", "b/bucket/o/0%2Fabc%2Fdoctor.bin", "", status=204, query={})
    google.delete_object("bucket", "0/abc/doctor.bin")
