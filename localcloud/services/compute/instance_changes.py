# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Changes of an existing instance."""

from __future__ import annotations

from collections.abc import Callable

from localcloud.core.errors import ApiError
from localcloud.framework.lifecycle import merge, same_fingerprint
from localcloud.framework.service import Call, Json
from localcloud.services.compute import addresses, constraints
from localcloud.services.compute.api import (
    api,
    failed,
    invalid,
    new_labels,
    operation,
    part,
    ready,
    resources,
)
from localcloud.services.compute.instances import name_of
from localcloud.services.compute.new_instance import (
    LateError,
    access_config,
    machine_type,
    service_accounts,
    tags_document,
)
from localcloud.services.compute.projects import check_metadata, metadata_document


def _change(call: Call, verb: str, change: Callable[[Json], Json]) -> Json:
    """Change the document and apply the network: its rules contain tags and addresses."""
    name = name_of(call)

    def update() -> Json:
        found = resources(call.cloud, "instances")
        found.get(name)
        ready(call.cloud, name)
        return found.update(name, change)

    try:
        return operation(call, verb, name, update)
    except LateError as refusal:
        return failed(call, name, refusal.code, str(refusal))


@api.method("compute.instances.setMetadata", permission="compute.instances.setMetadata")
def set_metadata(call: Call) -> Json:
    """Replace the metadata; needs its fingerprint."""
    items = call.body.get("items") or []
    new = metadata_document(items)
    metadata = {str(item.get("key")): str(item.get("value")) for item in items}
    constraints.check_metadata(call.cloud, call.project or "", metadata)

    def change(instance: Json) -> Json:
        check_metadata(instance["metadata"], call.body)
        return instance | {"metadata": new}

    return _change(call, "setMetadata", change)


@api.method("compute.instances.update", permission="compute.instances.update")
def update_instance(call: Call) -> Json:
    """Replace the instance. Only canIpForward can be changed by this method here; nested fields are not compared."""

    def change(instance: Json) -> Json:
        for field, value in call.body.items():
            nested = isinstance(value, (dict, list))
            if field != "canIpForward" and not nested and value != instance.get(field):
                raise ApiError(501, None, f"The local cloud cannot update {field} of an instance in this way.")
        return instance | {"canIpForward": bool(call.body.get("canIpForward"))}

    return _change(call, "update", change)


@api.method("compute.instances.setLabels", permission="compute.instances.setLabels")
def set_labels(call: Call) -> Json:
    """Replace the labels; needs their fingerprint."""
    return _change(call, "setLabels", new_labels(call, "instances"))


@api.method("compute.instances.setTags", permission="compute.instances.setTags")
def set_tags(call: Call) -> Json:
    """Replace the network tags; needs their fingerprint."""
    tags = tags_document(call.body)

    def change(instance: Json) -> Json:
        if not same_fingerprint(call.body.get("fingerprint"), instance["tags"]["fingerprint"]):
            raise ApiError(412, "conditionNotMet", "Supplied fingerprint does not match current tags fingerprint.")
        return instance | {"tags": tags}

    return _change(call, "setTags", change)


def _stopped(instance: Json, what: str) -> None:
    if instance["status"] != "TERMINATED":
        raise ApiError(400, "badRequest", f"The instance must be stopped before the {what} can be changed.")


@api.method("compute.instances.setMachineType", permission="compute.instances.setMachineType")
def set_machine_type(call: Call) -> Json:
    """Set the machine type of a stopped instance."""
    wanted = machine_type(call, call.body.get("machineType"))

    def change(instance: Json) -> Json:
        _stopped(instance, "machine type")
        return instance | {"machineType": wanted}

    return _change(call, "setMachineType", change)


@api.method("compute.instances.setServiceAccount", permission="compute.instances.setServiceAccount")
def set_service_account(call: Call) -> Json:
    """Set the service account or the scopes of a stopped instance; without an email it has no account."""

    def change(instance: Json) -> Json:
        _stopped(instance, "service account")
        rest = {k: v for k, v in instance.items() if k != "serviceAccounts"}
        accounts = service_accounts(call, [call.body] if call.body.get("email") else [])
        return rest | ({"serviceAccounts": accounts} if accounts else {})

    return _change(call, "setServiceAccount", change)


@api.method(
    "compute.instances.updateShieldedInstanceConfig", permission="compute.instances.updateShieldedInstanceConfig"
)
def update_shielded_instance_config(call: Call) -> Json:
    """Set secure boot, virtual TPM and integrity monitoring of a stopped instance; other fields stay."""

    def change(instance: Json) -> Json:
        _stopped(instance, "Shielded VM configuration")
        return instance | {"shieldedInstanceConfig": merge(instance["shieldedInstanceConfig"], call.body)}

    return _change(call, "updateShieldedInstanceConfig", change)


@api.method("compute.instances.setDeletionProtection", permission="compute.instances.setDeletionProtection")
def set_deletion_protection(call: Call) -> Json:
    """Enable or disable deletion protection."""
    wanted = bool(call.params["deletionProtection"])
    return _change(call, "setDeletionProtection", lambda instance: instance | {"deletionProtection": wanted})


@api.method("compute.instances.setScheduling", permission="compute.instances.setScheduling")
def set_scheduling(call: Call) -> Json:
    """Set the behavior during maintenance or failure of the host."""
    return _change(call, "setScheduling", lambda i: i | {"scheduling": merge(i["scheduling"], call.body)})


def _interface(call: Call, instance: Json) -> Json:
    wanted = call.params["networkInterface"]
    for nic in instance["networkInterfaces"]:
        if nic["name"] == wanted:
            found: Json = nic
            return found
    raise invalid("networkInterface", wanted, "The instance has no such network interface.")


@api.method("compute.instances.addAccessConfig", permission="compute.instances.addAccessConfig")
def add_access_config(call: Call) -> Json:
    """Give a network interface an external address."""
    constraints.check_external_ip(call.cloud, call.project or "", name_of(call))

    def change(instance: Json) -> Json:
        nic = _interface(call, instance)
        if nic.get("accessConfigs"):
            raise invalid("networkInterface", nic["name"], "At most one access config currently supported.")
        nic["accessConfigs"] = [access_config(call, call.body, part(nic["subnetwork"], "regions"), "resource")]
        if (
            instance["status"] == "TERMINATED"
            and addresses.static_name(call.cloud, nic["accessConfigs"][0]["natIP"]) is None
        ):
            del nic["accessConfigs"][0]["natIP"]
        return instance

    return _change(call, "addAccessConfig", change)


@api.method("compute.instances.deleteAccessConfig", permission="compute.instances.deleteAccessConfig")
def delete_access_config(call: Call) -> Json:
    """Remove the external address of a network interface."""
    wanted = call.params["accessConfig"]

    def change(instance: Json) -> Json:
        nic = _interface(call, instance)
        if wanted not in [config["name"] for config in nic.get("accessConfigs", ())]:
            raise invalid("accessConfig", wanted, "The network interface has no such access config.")
        del nic["accessConfigs"]
        return instance

    return _change(call, "deleteAccessConfig", change)
