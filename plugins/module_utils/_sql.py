# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Shared code of the modules for Cloud SQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from ._client import Client, GoogleError, Json
from ._options import Spec

NOT_RUNNING = ("not in an appropriate state", "instance is not running")
SITE = "ansible-playbook site.yml"
BROKEN = ("FAILED", "SUSPENDED")


def timeout() -> Spec:
    """Return the option ``timeout`` with the default for Cloud SQL: a restore or a new tier can take an hour."""
    return {"timeout": {"type": "int", "default": 3600}}


def is_stopped(instance: Mapping[str, Any]) -> bool:
    """Return whether the owner stopped an instance. Its state is RUNNABLE; only the activation policy shows this."""
    return (instance.get("settings") or {}).get("activationPolicy") == "NEVER"


def start_command(name: str, project: str) -> str:
    """Return the command that starts a stopped instance."""
    return f"gcloud sql instances patch {name} --activation-policy=ALWAYS --project={project}"


def why_not_running(instance: Mapping[str, Any], project: str) -> str:
    """Return why an instance is not available and the remedy, or an empty string if it is available."""
    name, state = instance.get("name"), instance.get("state")
    if is_stopped(instance):
        return (
            f"Cloud SQL instance {name} is stopped (state {state}, activationPolicy NEVER). "
            f"Start it with {SITE}, or with `{start_command(str(name), project)}`."
        )
    if state not in {None, "RUNNABLE"}:
        return (
            f"Cloud SQL instance {name} is in state {state}, not RUNNABLE. MAINTENANCE and PENDING_CREATE are "
            f"temporary: run again later. Otherwise inspect the instance: "
            f"https://console.cloud.google.com/sql/instances/{name}/overview?project={project}"
        )
    return ""


def is_conflict(error: GoogleError) -> bool:
    """Return whether a write conflicted with another: every 409 except "already exists", whatever its reason."""
    exists = error.reason.lower().endswith("alreadyexists") or "already exists" in error.message.lower()
    return error.code == 409 and not exists


class OfInstance:
    """A Cloud SQL instance, or a resource of an instance. The option ``instance_option`` names the instance."""

    instance_option: ClassVar[str] = "instance"
    client: Client
    params: Mapping[str, Any]

    def find_instance(self) -> Json | None:
        """Return the instance, or None."""
        name = self.params[self.instance_option]
        return self.client.find("sql", f"v1/projects/{self.params['project']}/instances/{name}")

    def explain(self, error: GoogleError) -> str:
        """Return the cause of a conflict, or of an error of an instance that does not run."""
        if not is_conflict(error) and not (error.code == 400 and any(words in error.message for words in NOT_RUNNING)):
            return ""
        try:
            instance = self.find_instance()
        except GoogleError:
            return ""
        busy = "Another operation of the Cloud SQL instance is running. Run again later."
        return why_not_running(instance or {}, str(self.params["project"])) or (busy if error.code == 409 else "")

    def is_temporary(self, error: GoogleError) -> bool:
        """Return whether a conflict is temporary. Google reports an instance that does not run in the same way."""
        if error.operation_in_progress or not is_conflict(error):
            return error.operation_in_progress
        try:
            instance = self.find_instance()
        except GoogleError:
            return True
        if instance is None:
            return self.is_temporary_without_instance()
        rests = is_stopped(instance) or instance.get("state") in BROKEN
        return not rests or any(True for operation in self.running_operations())

    def is_temporary_without_instance(self) -> bool:
        """Return whether a conflict is temporary although there is no instance."""
        return False

    def operations(self) -> Iterator[Json]:
        """Return all operations of the instance."""
        query = {"instance": self.params[self.instance_option]}
        return self.client.items("sql", f"v1/projects/{self.params['project']}/operations", "items", query)

    def running_operations(self) -> Iterable[Json]:
        """Return the unfinished operations of the instance. Only an operation has the reason of a failure."""
        return [operation for operation in self.operations() if operation.get("status") != "DONE"]


def why_failed(operations: Iterable[Json], project: str, name: str) -> str:
    """Quote the newest failed operation of a broken instance, whose document has no cause. Empty without one."""
    failed = [operation for operation in operations if operation.get("error")]
    newest = max(failed, key=lambda operation: str(operation.get("insertTime", "")), default=None)
    if newest is None:
        return ""
    kind, errors = newest.get("operationType", ""), newest["error"].get("errors") or [{}]
    told = "; ".join(f"{error.get('message', '')} ({error.get('code', '')})" for error in errors)
    remedy = removal(project, name) if kind == "CREATE" else "The instance may contain data. Inspect it in the console."
    return f"Its operation {kind} of {newest.get('insertTime', '')} failed: {told} {remedy}"


def removal(project: str, name: str) -> str:
    """Return the remedy for an instance whose creation failed."""
    arguments = f"project={project} name={name} state=absent delete_protected=true"
    return (
        "The instance was not created and contains no data. Remove the cause, delete the instance with "
        f"`ansible localhost -m mlops.mlflow_gcp.gcp_sql_instance -a '{arguments}'`, and run again."
    )


def server_ca_bundle(client: Client, instance: Json | None, path: str) -> str | None:
    """Read the certificates of the instance's certificate authorities. An instance that is being created has none."""
    if instance is None or "serverCaCert" not in instance:
        return None
    certificates = client.get("sql", f"{path}/listServerCas").get("certs") or ()
    return bundle(certificates) if certificates else None


def bundle(certificates: Iterable[Json]) -> str:
    """Return the API's certificates as one PEM text, the oldest first. A single certificate is not changed."""
    texts = [str(item["cert"]) for item in sorted(certificates, key=_age)]
    return texts[0] if len(texts) == 1 else "".join(text.strip() + "\n" for text in texts)


def _age(certificate: Json) -> tuple[str, str]:
    return str(certificate.get("createTime", "")), str(certificate.get("sha1Fingerprint", ""))
