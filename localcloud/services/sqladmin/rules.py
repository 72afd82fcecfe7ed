# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Rules for instances: names, versions, editions, machine types, flags, addresses; and defaults."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from localcloud.core.errors import ApiError
from localcloud.core.links import relative_name
from localcloud.framework.service import Json
from localcloud.services.sqladmin.api import invalid
from localcloud.services.sqladmin.flags import check_flags

# The versions that the engine has packages for, with the minor version that the API shows.
VERSIONS = {"POSTGRES_15": "POSTGRES_15_15", "POSTGRES_17": "POSTGRES_17_7"}
_PLUS_TIER = re.compile(r"db-(perf-optimized-N-(2|4|8|16|32|48|64|80|96|128)|c4a-highmem-(1|4|8|16|32|48|64|72))")
_SHARED_TIERS = ("db-f1-micro", "db-g1-small")
_SSL_MODES = ("ALLOW_UNENCRYPTED_AND_ENCRYPTED", "ENCRYPTED_ONLY")


def check_name(project: str, name: str) -> None:
    """Raise 400 for an invalid instance name."""
    if not re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name) or len(f"{project}:{name}") > 98:
        raise invalid(f"Invalid instance name ({name}).", "invalidInstanceName")


def check_version(version: str) -> None:
    """Raise 400 for a version that the local cloud cannot run."""
    if version not in VERSIONS:
        raise invalid(
            f"Invalid request: databaseVersion {version or '(missing: MYSQL_8_0)'} is not among the "
            f"versions of the local cloud: {', '.join(VERSIONS)}."
        )


def default_edition(version: str) -> str:
    """Return the default edition. From PostgreSQL 16 on it is the more expensive edition."""
    return "ENTERPRISE_PLUS" if int(version.removeprefix("POSTGRES_").replace("9_6", "9")) >= 16 else "ENTERPRISE"


def _check_tier(tier: str, edition: str) -> None:
    if not tier:
        raise ApiError(400, "required", "Missing parameter: tier.")
    plus = bool(_PLUS_TIER.fullmatch(tier))
    custom = re.fullmatch(r"db-custom-(\d+)-(\d+)", tier)
    if not plus and not custom and tier not in _SHARED_TIERS:
        raise invalid(f"Invalid request: Invalid tier ({tier}).", "invalidTier")
    if edition == "ENTERPRISE_PLUS" and not plus:
        raise invalid(
            f"Invalid request: Invalid Tier ({tier}) for (ENTERPRISE_PLUS) Edition. Use a predefined Tier like "
            "db-perf-optimized-N-* instead. Learn more at "
            "https://cloud.google.com/sql/docs/postgres/create-instance#machine-types."
        )
    if edition == "ENTERPRISE" and plus:
        raise invalid(
            f"Invalid request: Invalid Tier ({tier}) for (ENTERPRISE) Edition. "
            "Use a tier like db-custom-CPU-RAM instead."
        )
    if custom:
        cpus, memory = int(custom[1]), int(custom[2])
        if cpus < 1 or cpus > 96 or (cpus > 1 and cpus % 2):
            raise invalid(f"Invalid request: Invalid tier ({tier}): the number of CPUs must be 1 or even, up to 96.")
        if memory % 256 or memory < 3840 or not 0.9 * 1024 * cpus <= memory <= 6.5 * 1024 * cpus:
            raise invalid(
                f"Invalid request: Invalid tier ({tier}): memory must be a multiple of 256 MB, at least 3840 MB, "
                "and 0.9 to 6.5 GB per CPU."
            )


def complete(settings: Json, version: str, region: str, zone: str | None, project_id: Callable[[str], str]) -> Json:
    """Return the settings with Google's defaults, after a check; `project_id` maps a project's number to its id."""
    result: Json = {
        "kind": "sql#settings",
        "settingsVersion": "1",
        "activationPolicy": "ALWAYS",
        "authorizedGaeApplications": [],
        "availabilityType": "ZONAL",
        "connectorEnforcement": "NOT_REQUIRED",
        "dataDiskSizeGb": "10",
        "dataDiskType": "PD_SSD",
        "deletionProtectionEnabled": False,
        "edition": default_edition(version),
        "pricingPlan": "PER_USE",
        "replicationType": "SYNCHRONOUS",
        "storageAutoResize": True,
        "storageAutoResizeLimit": "0",
    } | {k: v for k, v in settings.items() if v is not None and not str(v).endswith("_UNSPECIFIED")}
    _check_tier(str(result.get("tier") or ""), result["edition"])
    if int(result["dataDiskSizeGb"]) < 10:
        raise invalid("Invalid request: The disk size must be at least 10 GB.", "invalidDiskSize")
    result["backupConfiguration"] = _backup(result.get("backupConfiguration") or {})
    if result["availabilityType"] == "REGIONAL" and not result["backupConfiguration"]["enabled"]:
        raise invalid(
            "Invalid request: Backups and point-in-time recovery must be enabled when creating regional instance."
        )
    result["ipConfiguration"] = _addresses(result.get("ipConfiguration") or {}, project_id)
    preference = {"kind": "sql#locationPreference", "zone": zone or f"{region}-b"}
    result["locationPreference"] = preference | (result.get("locationPreference") or {})
    if result["activationPolicy"] not in ("ALWAYS", "NEVER"):
        raise invalid(f"Invalid request: Invalid activation policy ({result['activationPolicy']}).")
    check_flags(result.get("databaseFlags") or [])
    if not result.get("databaseFlags"):
        result.pop("databaseFlags", None)
    for key, value in dict(result.get("userLabels") or {}).items():
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key) or not re.fullmatch(r"[a-z0-9_-]{0,63}", value):
            raise invalid(f"Invalid request: Invalid label ({key}: {value}).")
    if not result.get("userLabels"):
        result.pop("userLabels", None)
    return result


def _backup(given: Json) -> Json:
    retention = {"retainedBackups": 7, "retentionUnit": "COUNT"} | (given.get("backupRetentionSettings") or {})
    result: Json = {
        "kind": "sql#backupConfiguration",
        "enabled": False,
        "startTime": "04:00",
        "transactionLogRetentionDays": 7,
        "backupTier": "STANDARD",
    } | {k: v for k, v in given.items() if v is not None and k != "binaryLogEnabled"}  # a MySQL setting
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", result["startTime"]):
        raise invalid(f"Invalid request: Invalid backup start time ({result['startTime']}).")
    recovers = bool(result.get("pointInTimeRecoveryEnabled"))  # absent from answers if not set
    result["transactionalLogStorageState"] = (
        "CLOUD_STORAGE" if recovers else "TRANSACTIONAL_LOG_STORAGE_STATE_UNSPECIFIED"
    )
    if recovers:
        result["replicationLogArchivingEnabled"] = True
    if recovers and not result["enabled"]:
        raise invalid("Invalid request: Point-in-time recovery must be disabled when backup is disabled.")
    if not 1 <= int(retention["retainedBackups"]) <= 365:
        raise invalid("Invalid request: The number of retained backups must be between 1 and 365.")
    result["backupRetentionSettings"] = retention
    return result


def _addresses(given: Json, project_id: Callable[[str], str]) -> Json:
    result = {k: v for k, v in given.items() if v is not None}
    # As at Google, a public address is the default: a request must disable it explicitly.
    public = result.setdefault("ipv4Enabled", True)
    if public and not result.get("privateNetwork"):
        raise ApiError(
            501,
            None,
            "Instances with a public address alone are not in the local cloud: set ipConfiguration.privateNetwork.",
        )
    for entry in result.get("authorizedNetworks") or ():
        try:
            ipaddress.ip_network(entry.get("value") or "")
        except ValueError:
            raise invalid(f"Invalid request: Invalid authorized network ({entry.get('value')}).") from None
    if not result.get("privateNetwork"):
        raise invalid("Invalid request: At least one of Public IP or Private IP or PSC connectivity must be enabled.")
    result["privateNetwork"] = network_name(result["privateNetwork"], project_id)
    if result.get("requireSsl") and not result.get("sslMode"):
        result["sslMode"] = "TRUSTED_CLIENT_CERTIFICATE_REQUIRED"
    mode = result.setdefault("sslMode", "ALLOW_UNENCRYPTED_AND_ENCRYPTED")
    if mode not in _SSL_MODES:
        raise ApiError(501, None, f"sslMode {mode} is not in the local cloud: client certificates are missing.")
    result["requireSsl"] = False
    result.setdefault("authorizedNetworks", [])
    return result


def network_name(link: str, project_id: Callable[[str], str]) -> str:
    """Return a network's relative name (`projects/P/global/networks/N`) from any of its links."""
    name = relative_name(link, project_id) or ""
    if not re.fullmatch(r"projects/[^/]+/global/networks/[^/]+", name):
        raise invalid(f"Invalid request: Incorrect network name format: {link}.")
    return name


def check_change(old: Json, new: Json) -> None:
    """Raise 400 for an impossible change of settings."""
    if int(new["dataDiskSizeGb"]) < int(old["dataDiskSizeGb"]):
        raise invalid("Invalid request: Disk size cannot be decreased.", "invalidDiskSize")
    before, after = old["ipConfiguration"], new["ipConfiguration"]
    internal = "GOOGLE_MANAGED_INTERNAL_CA"
    if before.get("serverCaMode", internal) != after.get("serverCaMode", internal):
        raise invalid("Invalid request: The server CA mode of an instance cannot be changed here.")


def standby(region: str, zone: str, settings: Json) -> Json:
    """Return the fields for the standby in another zone. Null removes a field."""
    if settings["availabilityType"] != "REGIONAL":
        return {"failoverReplica": None, "secondaryGceZone": None}
    other = next(f"{region}-{letter}" for letter in "bcd" if f"{region}-{letter}" != zone)
    return {"failoverReplica": {"available": True}, "secondaryGceZone": other}


def flags_of(settings: Json) -> dict[str, str]:
    """Return database flags as a dict."""
    return {flag["name"]: flag.get("value", "") for flag in settings.get("databaseFlags") or []}
