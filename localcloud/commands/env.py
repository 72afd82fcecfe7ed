# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Print the environment variables that direct clients to the local cloud."""

from __future__ import annotations

import argparse
import shlex

from localcloud.commands import _home
from localcloud.core.settings import PROJECT, Settings

# The deployer's address as VMs see it: the host's own address on the external network.
DEPLOYER = "198.51.100.1/32"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `env`."""
    _home.add_arguments(parser)


def variables(settings: Settings) -> dict[str, str]:
    """Return environment variables for gcloud, Google's client libraries and this project's playbooks."""
    roots = {
        "CERTIFICATEMANAGER": "/certificatemanager/",
        "CLOUDRESOURCEMANAGER": "/cloudresourcemanager/",
        "COMPUTE": "/compute/v1/",
        "DNS": "/dns/v1/",
        "IAM": "/iam/",
        "IAMCREDENTIALS": "/iamcredentials/",
        "SECRETMANAGER": "/secretmanager/",
        "SERVICENETWORKING": "/servicenetworking/",
        "SERVICEUSAGE": "/serviceusage/",
        "SQL": "/sqladmin/",
        "STORAGE": "/storage/v1/",
    }
    credentials = str(settings.credentials)
    return {
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "CLOUDSDK_CORE_PROJECT": PROJECT,
        "GOOGLE_APPLICATION_CREDENTIALS": credentials,
        "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE": credentials,
        "CLOUDSDK_AUTH_AUTH_HOST": f"{settings.url}/o/oauth2/auth",
        "CLOUDSDK_AUTH_TOKEN_HOST": f"{settings.url}/oauth2/token",
        "CLOUDSDK_STORAGE_GS_XML_ENDPOINT_URL": settings.url,
        "STORAGE_EMULATOR_HOST": settings.url,
        "MLFLOW_LOCALCLOUD_HOME": str(settings.home),
        "MLFLOW_GCP_SSH_SOURCE_RANGES": DEPLOYER,
        **{f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name}": settings.url + path for name, path in roots.items()},
    }


def run(arguments: argparse.Namespace) -> int:
    """Print `export NAME=VALUE` lines for a shell to eval."""
    for name, value in variables(_home.settings(arguments)).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0
