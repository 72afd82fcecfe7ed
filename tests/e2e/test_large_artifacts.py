# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""MLflow clients upload and download large files with each method that the server offers."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from tests.e2e.deployment import Deployment
from tests.e2e.mlflow_clients import MIB, OLD, make_file, run_client

# The default minimum for multipart transfers is 500 MiB. The client selects the method unless a variable forces it.
LOW = {
    "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(20 * MIB),
    "MLFLOW_MULTIPART_DOWNLOAD_MINIMUM_FILE_SIZE": str(20 * MIB),
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}
FORCED = LOW | {"MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true", "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "true"}

# Log a file; download it if a folder is given.
CLIENT = """
import json, sys
from mlflow.tracking import MlflowClient
path, folder = sys.argv[1:]
client = MlflowClient()
found = client.get_experiment_by_name("large-artifacts")
experiment = found.experiment_id if found else client.create_experiment("large-artifacts")
run = client.create_run(experiment).info.run_id
client.log_artifact(run, path)
loaded = client.download_artifacts(run, path.rpartition("/")[2], folder) if folder else ""
print("\\n" + json.dumps({"experiment": experiment, "run": run, "loaded": loaded}))
"""

# Request signed URLs of a run and of a model, as clients for direct transfers do.
SIGNED_URLS = """
import json, sys
from mlflow.tracking import MlflowClient
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
experiment, run = sys.argv[1:]
client = MlflowClient()
model = client.create_logged_model(experiment).model_id
host = get_default_host_creds(client.tracking_uri)
answers = {}
for name, method, path, body in [
    ("upload for a run", "POST", "/api/2.0/mlflow/artifacts/presigned-upload-url", {"run_id": run, "path": "x"}),
    ("upload for a model", "POST", "/api/2.0/mlflow/artifacts/presigned-upload-url", {"model_id": model, "path": "x"}),
    ("download for a run", "POST", "/api/2.0/mlflow/artifacts/presigned-download-url", {"run_id": run, "path": "x"}),
    ("download", "GET", f"/api/2.0/mlflow-artifacts/presigned/{experiment}/{run}/artifacts/x", None),
    ("capabilities", "GET", "/api/3.0/mlflow/server-info", None),
]:
    answer = http_request(host, path, method, max_retries=0, **({"json": body} if body else {}))
    answers[name] = [answer.status_code, answer.json()]
print("\\n" + json.dumps(answers))
"""


def log_and_load(
    site: Deployment, client: str, folder: Path, size: int, settings: dict[str, str], *, load: bool
) -> None:
    """Log a file, compare the object in the bucket, download the file, and delete the object."""
    path = folder / f"{size // MIB}.bin"
    digest = make_file(path, size)
    downloads = folder / "downloads"
    downloads.mkdir()
    done = run_client(site, client, CLIENT, str(path), str(downloads) if load else "", settings=settings)
    name = f"{done['experiment']}/{done['run']}/artifacts/{path.name}"
    try:
        listing = site.call("GET", "storage", f"b/{site.project}-mlflow-artifacts/o")
        (found,) = [item for item in listing["items"] if item["name"].endswith(name)]
        assert (int(found["size"]), found["md5Hash"]) == (size, digest)
        if load:
            assert Path(done["loaded"]).read_bytes() == path.read_bytes()
    finally:
        artifact = f"{site.url}/api/2.0/mlflow-artifacts/artifacts/{name}"
        assert requests.delete(artifact, auth=site.admin, verify=str(site.ca), timeout=60).ok


@pytest.mark.parametrize("settings", [LOW, FORCED], ids=["low thresholds", "low thresholds, parts forced"])
@pytest.mark.parametrize("client", ["newest", OLD])
def test_files_above_the_threshold(site: Deployment, client: str, settings: dict[str, str], tmp_path: Path) -> None:
    """Clients failed because the server offered multipart uploads that it cannot sign. They use the server now."""
    log_and_load(site, client, tmp_path, 24 * MIB, settings, load=True)


def test_a_file_of_600_mb_with_default_settings(site: Deployment, tmp_path: Path) -> None:
    """Files from 500 MiB failed with "501 … Uploads in parts are off", and the run had no model."""
    log_and_load(site, "newest", tmp_path, 600 * MIB, {}, load=False)


def test_signed_urls_are_declined(site: Deployment, tmp_path: Path) -> None:
    """Clients use another method after a 400 or a 501. After other errors they retry for minutes or fail."""
    (tmp_path / "small.txt").write_text("small")
    done = run_client(site, "newest", CLIENT, str(tmp_path / "small.txt"), "", settings=LOW)
    answers = run_client(site, "newest", SIGNED_URLS, done["experiment"], done["run"], settings=LOW)
    status, capabilities = answers.pop("capabilities")
    assert status == 200
    # A new capability needs a test here.
    assert {name for name in capabilities if "multipart" in name or "presigned" in name} == {
        "multipart_uploads_enabled",
        "multipart_downloads_enabled",
        "presigned_upload_run_id_supported",
        "presigned_upload_model_id_supported",
    }
    for name, (status, body) in answers.items():
        assert (status, body["error_code"]) in ((400, "INVALID_PARAMETER_VALUE"), (501, "NOT_IMPLEMENTED")), (
            name,
            body,
        )
        assert "not supported" in body["message"], (name, body)
