# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Compute the fact ``mlflow_deployment`` from the role variables.

This is the only place that knows the names of a deployment's resources and the role variables that several roles need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.mlops.mlflow_gcp.plugins.filter.environment_credentials import environment_credentials
from ansible_collections.mlops.mlflow_gcp.plugins.filter.malformed import BASE, CHECKS
from ansible_collections.mlops.mlflow_gcp.plugins.filter.max_connections import max_connections
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._server_plan import machine_architecture, machine_cpus
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils import _accounts, _authentication, _rotation, _runtime
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._role_variables import RoleVariables

Fact = dict[str, Any]
SERVICES = (
    "cloudresourcemanager.googleapis.com",
    "compute.googleapis.com",
    "iam.googleapis.com",
    # Signs the URLs for direct transfers of artifacts.
    "iamcredentials.googleapis.com",
    "secretmanager.googleapis.com",
    "servicenetworking.googleapis.com",
    "sqladmin.googleapis.com",
    "storage.googleapis.com",
)
# Secret ID after the prefix, for each secret that every deployment has. The authentication mode has further secrets.
SECRETS = {
    "database_uri": "database-uri",
    "database_ca": "database-ca",
    "flask_secret_key": "flask-secret-key",
    # Keys of the secrets that MLflow stores in its database. The first line is the key in use, earlier keys follow.
    "webhook_encryption_key": "webhook-encryption-key",
    "crypto_kek_passphrase": "crypto-kek-passphrase",
    "certificate": "certificate",
    # The VM may not read the CA key.
    "ca": "ca",
}
ENCRYPTION_SECRETS = ("webhook_encryption_key", "crypto_kek_passphrase")
# A rotation swaps the users. After the first rotation, the owner role owns all objects.
DATABASE_USERS = ("mlflow", "mlflow_alternate")
# Key of the account at an ACME directory, and its external account binding.
ACME_ACCOUNT = "acme-account"


@dataclass(frozen=True)
class Release:
    """A release of MLflow: the desired release, or the release that an upgrade recorded."""

    version: str
    requirements_file: str = ""


def effective_release(
    desired: Release,
    recorded: Release | None,
    *,
    pinned: bool,
    shipped: Sequence[str],
) -> Release:
    """Return the release that the server gets.

    Unless the release is pinned, the release of the last upgrade replaces an older desired release. The lock file of
    the last upgrade also belongs to the desired release, if neither the user nor the collection has a lock file for it.
    """
    if recorded is None:
        return desired
    if not pinned and _order(recorded.version) > _order(desired.version):
        return recorded
    locked = desired.requirements_file or desired.version in shipped
    return recorded if recorded.version == desired.version and not locked else desired


def _order(version: str) -> tuple[Any, ...]:
    """Return a sort key. A release candidate precedes its release, a post-release follows."""
    numbers, kind, number = [], "", "0"
    for part in version.replace("rc", ".rc.").replace("post", ".post.").split("."):
        if part in ("rc", "post"):
            kind = part
        elif part and kind:
            number = part
        elif part:
            numbers.append(int(part) if part.isdecimal() else 0)
    return (*numbers, {"rc": -1, "": 0, "post": 1}[kind], int(number) if number.isdecimal() else 0)


def shipped_releases(directory: Path) -> list[str]:
    """Return the releases whose lock files the collection ships."""
    return sorted(path.stem.removeprefix("requirements-") for path in directory.glob("requirements-*.txt"))


def identity(settings: Mapping[str, Any]) -> Fact:
    """Return the part of the fact that follows from the variables of the role `deployment`."""
    project, name = settings["deployment_project"], settings["deployment_name"]
    region, zone = settings["deployment_region"], settings["deployment_zone"]
    state = settings["deployment_state_directory"]
    vm, control_node = f"{name}-server", f"{name}-control"
    runtime = _runtime.find(settings["deployment_runtime"])
    authentication = _authentication.find(settings["mlflow_authentication"])
    secrets = {key: f"{name}-{suffix}" for key, suffix in SECRETS.items()}
    secrets |= {secret.name: f"{name}-{secret.suffix}" for secret in authentication.secrets}
    acme = settings["certificates_source"] == "acme"
    if acme:
        secrets["acme_account"] = f"{name}-{ACME_ACCOUNT}"
    credentials = {key: f"{'nginx' if key == 'certificate' else 'mlflow'}.{SECRETS[key]}" for key in SECRETS}
    credentials |= {secret.name: secret.credential for secret in authentication.secrets}
    credentials["acme_account"] = "mlflow-acme.account"
    given: Mapping[str, str] = settings["mlflow_secret_environment"]
    return {
        "id": f"{project}/{name}",
        "project": project,
        "name": name,
        "region": region,
        "zone": zone,
        # The inventory source finds the VM by these labels.
        "labels": {**settings["deployment_labels"], "app": "mlflow", "mlflow-deployment": name},
        "hostname": settings["deployment_hostname"],
        "services": list(SERVICES),
        # The ID of a project of a domain contains a colon, which no bucket name may contain.
        "bucket_prefix": f"{project}-{name}".replace(":", "-"),
        "network": {
            "name": f"{name}-network",
            "link": f"projects/{project}/global/networks/{name}-network",
            "subnetwork": f"{name}-subnetwork",
            "subnetwork_link": f"projects/{project}/regions/{region}/subnetworks/{name}-subnetwork",
            "services_range": f"{name}-services",
            "address": f"{name}-address",
            "tag": vm,
        },
        "vm": {
            "name": vm,
            "path": f"{project}/{zone}/{vm}",
            "service_account": vm,
            "service_account_email": f"{vm}@{project}.iam.gserviceaccount.com",
        },
        "control_node": {
            "name": control_node,
            "service_account_email": f"{control_node}@{project}.iam.gserviceaccount.com",
        },
        "ssh": {
            "user": settings["deployment_ssh_user"],
            "key_file": f"{state}/ssh/id_ed25519",
            "known_hosts_file": f"{state}/ssh/known_hosts",
        },
        "database": {
            "instance": f"{name}-database",
            "name": "mlflow",
            "auth_name": "mlflow_auth",
            "application_name": "" if authentication.identity else settings["mlflow_application_database"],
            "users": list(DATABASE_USERS),
            "owner": "mlflow_owner",
        },
        "secrets": secrets,
        "vm_secrets": [secret for key, secret in secrets.items() if key != "ca"],
        # They stay until the deployment is destroyed, so a change back to the other mode needs no new values.
        "former_secrets": [f"{name}-{secret.suffix}" for secret in _authentication.former_secrets(authentication)]
        + ([] if acme else [f"{name}-{ACME_ACCOUNT}"]),
        # Secrets of the user, which the VM reads too. The deployment neither creates nor deletes them.
        "given_secrets": sorted(set(given.values())),
        "encryption_secrets": [secrets[key] for key in ENCRYPTION_SECRETS],
        "credential_items": [
            {"name": credentials[key], "secret": secret} for key, secret in secrets.items() if key != "ca"
        ]
        + [{"name": name, "secret": given[key]} for key, name in environment_credentials(given).items()],
        "runtime": _runtime.describe(runtime),
        "authentication": _authentication.describe(authentication, secrets, settings),
        "rotations": _rotation.describe(authentication, secrets),
        "state": {
            "directory": state,
            "ca_file": f"{state}/ca.pem",
            "releases_directory": f"{state}/releases",
            # Prefix of the records in the bucket of the backups.
            "records_prefix": f"deployments/{project}/{name}/",
        },
    }


def resources(settings: Mapping[str, Any], base: Mapping[str, Any]) -> Fact:
    """Return the fact with the properties of the resources, which are variables of the role `infrastructure`."""
    flags, tier = settings["infrastructure_database_flags"], settings["infrastructure_database_tier"]
    machine_type = settings["infrastructure_machine_type"]
    return {
        **base,
        "bucket": {
            "name": settings["infrastructure_bucket"],
            "versioning": bool(settings["infrastructure_bucket_versioning"]),
            "location": settings["infrastructure_bucket_location"],
        },
        "backups_bucket": settings["infrastructure_backups_bucket"],
        "secret_locations": settings["secrets_locations"],
        "certificate": certificate(settings, base["state"]),
        # The zone is empty without Cloud DNS.
        "dns": {"project": settings["dns_project"], "zone": settings["dns_managed_zone"]},
        "vm": base["vm"]
        | {
            "machine_type": machine_type,
            "cpus": machine_cpus(machine_type),
            "architecture": machine_architecture(machine_type),
            "image": "projects/{}/global/images/family/{}".format(
                settings["infrastructure_image_project"], settings["infrastructure_image_family"]
            ),
            "boot_disk_type": settings["infrastructure_boot_disk_type"],
            "boot_disk_size_gb": settings["infrastructure_boot_disk_size_gb"],
            "allow_stopping": settings["infrastructure_instance_allow_stopping"],
            "deletion_protection": settings["infrastructure_instance_deletion_protection"],
        },
        "network": base["network"] | {"client_source_ranges": settings["infrastructure_client_source_ranges"]},
        "ssh": base["ssh"]
        | {
            "public_keys": settings["infrastructure_ssh_public_keys"],
            "source_ranges": settings["infrastructure_ssh_source_ranges"],
        },
        "database": base["database"]
        | {
            "version": settings["infrastructure_database_version"],
            "edition": settings["infrastructure_database_edition"],
            "tier": tier,
            "flags": flags,
            "max_connections": max_connections(flags, tier),
        },
    }


def certificate(settings: Mapping[str, Any], state: Mapping[str, str]) -> Fact:
    """Return the source of the server certificate, and the CA file of the clients and of the control node.

    An empty path means the CA certificates of the system. An ACME directory may sign later than the first run, so the
    file then contains the deployment's own CA too.
    """
    source = settings["certificates_source"]
    return {
        "source": source,
        "ca_file": "" if source == "files" else state["ca_file"],
        "acme": {
            "directory": settings["certificates_acme_directory"],
            "terms_agreed": bool(settings["certificates_acme_terms_agreed"]),
            "email": settings["certificates_acme_email"],
            "profile": settings["certificates_acme_profile"],
            "challenge": settings["certificates_acme_challenge"],
            "record": _challenge_record(settings),
            "ca_file": settings["certificates_acme_ca_file"],
        },
    }


def _challenge_record(settings: Mapping[str, Any]) -> Fact:
    """Return the TXT record that answers DNS-01 challenges (RFC 8555, 8.4), empty with another challenge or source."""
    if (settings["certificates_source"], settings["certificates_acme_challenge"]) != ("acme", "dns-01"):
        return {}
    name = f"_acme-challenge.{str(settings['deployment_hostname'] or '').lower()}."
    return {"project": settings["dns_project"], "zone": settings["dns_managed_zone"], "name": name}


def server(settings: Mapping[str, Any]) -> Fact:
    """Return the part of the fact that follows from the roles of the VM."""
    return {
        "credentials_source": settings["credentials_source"],
        "credentials_project": settings["credentials_project"],
        "credential_items": settings["credentials_items"],
        "auth_database": settings["mlflow_auth_database"],
        "auth_cache_ttl_seconds": int(settings["mlflow_auth_cache_ttl_seconds"]),
        "artifacts_destination": settings["mlflow_artifacts_destination"],
        "direct_transfers": settings["mlflow_direct_transfers"],
        "drain_timeout": int(settings["mlflow_drain_timeout"]),
        "minimum_version": settings["mlflow_minimum_version"],
        "keep_releases": int(settings["mlflow_keep_releases"]),
        "pip_arguments": settings["mlflow_pip_arguments"],
        "hostnames": settings["nginx_hostnames"],
    }


def release(settings: Mapping[str, Any], *, shipped_in: Path, record: Fact, explicit: bool) -> Fact:
    """Return the desired, the recorded and the effective release.

    `record` is the record of the last upgrade or rollback, or empty. `explicit` means that the version was given on the
    command line, which always decides.
    """
    shipped = shipped_releases(shipped_in)
    desired = Release(str(settings["mlflow_version"]), settings["mlflow_requirements_file"])
    recorded = Release(str(record["version"]), record["requirements_file"]) if record else None
    pinned = explicit or settings["upgrade_channel"] == "pinned"
    effective = effective_release(desired, recorded, pinned=pinned, shipped=shipped)
    return {
        "version": effective.version,
        "requirements_file": effective.requirements_file,
        "extra_requirements_file": settings["mlflow_extra_requirements_file"],
        "desired_version": desired.version,
        "recorded": record,
        "source": "recorded" if effective != desired else "desired",
        "shipped": shipped,
        "shipped_directory": str(shipped_in),
    }


def describe(
    settings: RoleVariables, *, roles: Path, records: Fact, explicit: bool, check: Callable[[Iterable[str]], object]
) -> Fact:
    """Return the fact, except for what depends on the inventory.

    `check` raises an exception if one of these role variables is malformed. Each step may use the names of the step
    before.
    """
    names = set(settings)
    fact = identity(settings)
    fact["state"]["records"] = records
    settings.add("mlflow_deployment", fact)
    of_resources = [
        name for name in (*BASE, *CHECKS) if name.startswith(("deployment_", "infrastructure_", "secrets_", "dns_"))
    ]
    check(of_resources)
    fact = resources(settings, fact)
    settings.add("mlflow_deployment", fact)
    check(name for name in CHECKS if name in names and name not in of_resources)
    mode = _authentication.find(settings["mlflow_authentication"])
    rules = {"identity_rules": _authentication.identity_rules(mode, settings)}
    return fact | {
        "authentication": fact["authentication"] | rules,
        "server": server(settings),
        "users": _accounts.describe(settings["mlflow_users"], fact["name"], mode),
        "release": release(
            settings,
            shipped_in=roles / "mlflow" / "files",
            record=records.get("release", {}),
            explicit=explicit,
        )
        | {
            "required": _accounts.required_release(
                settings["mlflow_roles"], settings["mlflow_users"], single_sign_on=mode.single_sign_on
            )
        },
    }
