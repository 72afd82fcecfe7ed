# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The kind of credentials that a timer would use, and whether they depend on a user's session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._credential_kind import CredentialsFileError, find

SECRET = "1//refresh-token"
ADC = ".config/gcloud/application_default_credentials.json"


def write(path: Path, kind: str, **content: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": kind, "refresh_token": SECRET, "private_key": SECRET, **content}))
    return str(path)


@pytest.mark.parametrize(
    ("kind", "user"),
    [
        ("authorized_user", True),
        ("external_account_authorized_user", True),
        ("service_account", False),
        ("external_account", False),
    ],
)
def test_the_type_of_the_named_file(tmp_path: Path, kind: str, user: bool) -> None:
    file = write(tmp_path / "named.json", kind)
    write(tmp_path / ADC, "authorized_user")
    found = find({"GOOGLE_APPLICATION_CREDENTIALS": file}, str(tmp_path))
    assert (found.kind, found.file, found.of_a_user) == (kind, file, user)
    assert str(found) == f"{kind} of {file}"
    assert SECRET not in repr(found)


@pytest.mark.parametrize(("source", "user"), [("authorized_user", True), ("service_account", False)])
def test_an_impersonation_depends_on_its_source(tmp_path: Path, source: str, user: bool) -> None:
    content = {"source_credentials": {"type": source, "refresh_token": SECRET}}
    file = write(tmp_path / "named.json", "impersonated_service_account", **content)
    found = find({"GOOGLE_APPLICATION_CREDENTIALS": file}, str(tmp_path))
    assert found.of_a_user == user
    assert str(found) == f"impersonated_service_account of {file}, impersonated by {source}"


def test_without_a_named_file_the_file_of_gcloud_is_used(tmp_path: Path) -> None:
    file = write(tmp_path / ADC, "authorized_user")
    target = {"CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT": "deployer@my-project.iam.gserviceaccount.com"}
    found = find(target, str(tmp_path))
    assert (found.file, found.of_a_user) == (file, True)
    assert str(found).endswith(", impersonating deployer@my-project.iam.gserviceaccount.com")

    other = write(tmp_path / "configuration" / Path(ADC).name, "external_account")
    found = find({"CLOUDSDK_CONFIG": str(tmp_path / "configuration")}, str(tmp_path))
    assert (found.file, found.of_a_user) == (other, False)


def test_without_any_file_the_metadata_server(tmp_path: Path) -> None:
    found = find({}, str(tmp_path))
    assert (found.kind, found.file, found.of_a_user) == ("metadata", None, False)


def test_a_key_file_by_the_variables_of_the_modules(tmp_path: Path) -> None:
    write(tmp_path / "key.json", "service_account")
    write(tmp_path / ADC, "authorized_user")
    chosen = {"GCP_AUTH_KIND": "service_account_file", "GCP_SERVICE_ACCOUNT_FILE": "~/key.json"}
    assert find(chosen, str(tmp_path)).file == str(tmp_path / "key.json")
    # The variable of the file has no effect without the variable of the kind.
    assert find({"GCP_SERVICE_ACCOUNT_FILE": "~/key.json"}, str(tmp_path)).of_a_user


@pytest.mark.parametrize("content", [f"{{{SECRET}", "[]", '{"type": 1}', f'{{"refresh_token": "{SECRET}"}}'])
def test_a_file_of_another_form_is_named_and_not_quoted(tmp_path: Path, content: str) -> None:
    file = tmp_path / "named.json"
    file.write_text(content)
    with pytest.raises(CredentialsFileError) as caught:
        find({"GOOGLE_APPLICATION_CREDENTIALS": str(file)}, str(tmp_path))
    assert str(file) in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialsFileError, match=r"none\.json: No such file"):
        find({"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "none.json")}, str(tmp_path))
