# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""What the modules for Cloud SQL share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._client import Client, GoogleError, Json

NOT_RUNNING = ("not in an appropriate state", "instance is not running")
SITE = "ansible-playbook site.yml"


def is_stopped(instance: Mapping[str, Any]) -> bool:
    """Whether the owner stopped an instance. The state of such an instance is RUNNABLE; only its policy tells."""
    return (instance.get("settings") or {}).get("activationPolicy") == "NEVER"


def start_command(name: str, project: str) -> str:
    """The command that starts a stopped instance."""
    return f"gcloud sql instances patch {name} --activation-policy=ALWAYS --project={project}"


def why_not_running(instance: Mapping[str, Any], project: str) -> str:
    """Why an instance does not answer, and what to do about it; empty where it answers."""
    name, state = instance.get("name"), instance.get("state")
    if is_stopped(instance):
        return (
            f"Cloud SQL instance {name} is stopped (state {state}, activationPolicy NEVER). "
            f"Start it with {SITE}, or with `{start_command(str(name), project)}`."
        )
    if state not in {None, "RUNNABLE"}:
        return (
            f"Cloud SQL instance {name} is in state {state}, not RUNNABLE. MAINTENANCE and PENDING_CREATE pass by "
            f"themselves: run again later. Otherwise look at it: "
            f"https://console.cloud.google.com/sql/instances/{name}/overview?project={project}"
        )
    return ""


def explain(client: Client, error: GoogleError, project: str, name: str) -> str:
    """The cause of an error that an instance gives because it does not run; empty for all other errors."""
    if error.code not in {400, 409} or not any(words in error.message for words in NOT_RUNNING):
        return ""
    try:
        return why_not_running(client.get("sql", f"v1/projects/{project}/instances/{name}"), project)
    except GoogleError:
        return ""


class OfInstance:
    """For a resource inside a Cloud SQL instance, which its option ``instance`` names."""

    client: Client
    params: Mapping[str, Any]

    def explain(self, error: GoogleError) -> str:
        """Say so where the instance does not run."""
        return explain(self.client, error, str(self.params["project"]), str(self.params["instance"]))


def bundle(certificates: Iterable[Json]) -> str:
    """Certificates of the API as one PEM text, the oldest first. One certificate stays as it is, to the byte."""
    texts = [str(item["cert"]) for item in sorted(certificates, key=_age)]
    return texts[0] if len(texts) == 1 else "".join(text.strip() + "\n" for text in texts)


def _age(certificate: Json) -> tuple[str, str]:
    return str(certificate.get("createTime", "")), str(certificate.get("sha1Fingerprint", ""))
