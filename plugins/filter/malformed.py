# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Role variables whose values Google would refuse."""

from __future__ import annotations

DOCUMENTATION = r"""
name: malformed
short_description: Role variables whose values Google would refuse
version_added: 0.1.0
description:
  - Google refuses a request with a malformed value. Other resources may exist by then. This filter finds such values in
    role variables before the first change.
  - It checks the formats in Google's contract or documentation, for each role variable of this collection that is part
    of a request.
options:
  _input:
    description: Values of role variables, by name. Variables that are not part of a request are ignored.
    type: dict
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Show the malformed variables
  ansible.builtin.debug:
    # ["infrastructure_machine_type is 'e2 small': it must begin with …"]
    msg: "{{ {'infrastructure_machine_type': 'e2 small'} | mlops.mlflow_gcp.malformed }}"
"""

RETURN = r"""
_value:
  description: A message for each malformed variable, with its name, its value, the rule and the remedy.
  type: list
  elements: str
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _formats as formats
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._iam import PUBLIC

_deployment = formats.pattern(
    r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]/[a-z]([a-z0-9-]{0,18}[a-z0-9])?",
    "it names no deployment. Give PROJECT/NAME of the deployment of the backup, or an empty value for this deployment",
)


def _credentials(value: Any) -> str:
    """Check the items of the role credentials: names of secrets and their versions."""
    version = formats.pattern(r"latest|[1-9][0-9]*", "it must be a number or latest")
    for item in value if isinstance(value, list) else []:
        for key, check in (("secret", formats.secret_id), ("version", version)):
            if isinstance(item, Mapping) and item.get(key) is not None and (said := check(item[key])):
                return f"value {formats.quoted(item[key])} of {key}: {said}"
    return ""


def _users(value: Any) -> str:
    """Check the principals that may read the password of a user."""
    for user in value if isinstance(value, list) else []:
        accessors = user.get("secret_accessors") if isinstance(user, Mapping) else None
        for principal in accessors if isinstance(accessors, list) else []:
            said = "a password must not be public" if principal in PUBLIC else formats.member(principal)
            if said:
                return f"value {formats.quoted(principal)} of secret_accessors: {said}"
    return ""


def _destination(value: Any) -> str:
    """Check the destination of artifacts, if it is a bucket with an optional prefix."""
    if not isinstance(value, str) or not value.startswith("gs://"):
        return ""
    bucket, _slash, prefix = value.removeprefix("gs://").partition("/")
    return formats.bucket(bucket) or (formats.object_name(prefix) if prefix else "")


_name = formats.pattern(
    r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?",
    "it must begin with a lower-case letter, have at most 20 lower-case letters, digits and hyphens, and not end with a"
    " hyphen",
)
# The deployment `a` has the secrets a-database-ca and a-user-NAME. The deployment `a-database` would have them, too.
_own_secrets = formats.pattern(
    r"(?!.*-(database|user)(-|$)).*",
    "it must not contain -database or -user as a part, because secrets would have the names of another deployment's",
)


def _deployment_name(value: Any) -> str:
    """Check the name of the deployment."""
    return _name(value) or _own_secrets(value)


# The name and the HTTP host of requests are compared, so a dot at the end is refused.
_hostname = formats.pattern(
    r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*",
    "it is no host name, such as mlflow.example.com, without scheme, port and a dot at its end",
)
_optional_bucket = formats.either("", otherwise=formats.bucket)

# Checked first: other variables are computed from these, and would be malformed for the same cause.
BASE: Mapping[str, formats.Check] = {
    "deployment_project": formats.project,
    "deployment_region": formats.region,
    "deployment_zone": formats.zone,
    "deployment_name": _deployment_name,
}
CHECKS: Mapping[str, formats.Check] = {
    "deployment_labels": formats.labels,
    "deployment_hostname": formats.either("", otherwise=_hostname),
    "dns_managed_zone": formats.either("", otherwise=formats.name),
    "dns_project": formats.project,
    "certificates_acme_dns_role": formats.role,
    "dns_ttl": formats.integer(0, 2**31 - 1),
    "infrastructure_subnetwork_range": formats.subnetwork_range,
    "infrastructure_services_prefix_length": formats.integer(8, 24),
    # A firewall rule without source ranges allows all clients.
    "infrastructure_client_source_ranges": formats.each(formats.cidr, least=1),
    "infrastructure_ssh_source_ranges": formats.each(formats.cidr),
    "deployment_ssh_user": formats.unix_user,
    "infrastructure_ssh_public_keys": formats.each(formats.public_key),
    "infrastructure_machine_type": formats.name,
    "infrastructure_image_project": formats.project,
    "infrastructure_image_family": formats.name,
    "infrastructure_boot_disk_type": formats.name,
    "infrastructure_boot_disk_size_gb": formats.disk_size,
    "infrastructure_database_version": formats.database_version,
    "infrastructure_database_tier": formats.tier,
    "infrastructure_database_disk_size_gb": formats.disk_size,
    "infrastructure_database_flags": formats.database_flags,
    "infrastructure_database_backup_start_time": formats.time_of_day,
    "infrastructure_database_retained_backups": formats.integer(1, 365),
    "infrastructure_database_maintenance_day": formats.integer(1, 7),
    "infrastructure_database_maintenance_hour": formats.integer(0, 23),
    "infrastructure_bucket": formats.bucket,
    "infrastructure_bucket_location": formats.location,
    "infrastructure_bucket_noncurrent_days": formats.integer(0, 2**31 - 1),
    "infrastructure_bucket_soft_delete_seconds": formats.soft_delete,
    "infrastructure_backups_bucket": formats.bucket,
    "secrets_locations": formats.different(formats.each(formats.region)),
    "backup_name": formats.either(
        "",
        otherwise=formats.pattern(
            r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}",
            "use letters, digits, dots, hyphens and underscores, 63 at most, or leave it empty for the time",
        ),
    ),
    "backup_restore_from": formats.either("", otherwise=_deployment),
    "backup_restore_bucket": _optional_bucket,
    "credentials_project": formats.either("", otherwise=formats.project_or_number),
    "credentials_items": _credentials,
    "mlflow_artifacts_destination": _destination,
    "mlflow_users": _users,
}
# Most users set the project in the environment.
REMEDIES = {"deployment_project": "Set it in group_vars/all.yml, or export GOOGLE_CLOUD_PROJECT."}
REMEDY = "Correct it in group_vars/all.yml, or in the other place that sets it."


def malformed(settings: Mapping[str, Any]) -> list[str]:
    """Return a message for each value that Google would refuse. Check the base variables first."""
    wrong = _wrong(settings, BASE)
    if not wrong:
        wrong = _wrong(settings, CHECKS)
        zone, region = (settings.get(f"deployment_{name}") for name in ("zone", "region"))
        if zone and region and str(zone).rpartition("-")[0] != region:
            wrong.append(
                f"deployment_zone {formats.quoted(zone)} is no zone of deployment_region "
                f"{formats.quoted(region)}. A zone is the region and a letter, for example {region}-b."
            )
    managed_zone, hostname = settings.get("dns_managed_zone"), str(settings.get("deployment_hostname", ""))
    if not wrong and managed_zone and not _is_domain(hostname):
        wrong.append(
            f"dns_managed_zone is {formats.quoted(managed_zone)}, but deployment_hostname {formats.quoted(hostname)} "
            "is no domain name, so the zone has no record to hold. Set deployment_hostname to a name in the zone, or "
            "leave dns_managed_zone empty, in group_vars/all.yml."
        )
    if not wrong and (reserved := {"app", "mlflow-deployment"} & set(settings.get("deployment_labels", {}))):
        wrong.append(
            f"deployment_labels holds {' and '.join(sorted(reserved))}, which the deployment sets itself. Remove it "
            "from group_vars/all.yml, or from the other place that sets it."
        )
    return wrong


def _is_domain(hostname: str) -> bool:
    """Return whether a well-formed host name is neither empty nor an address."""
    return bool(re.search(r"[A-Za-z]", hostname.rpartition(".")[2]))


def _wrong(settings: Mapping[str, Any], checks: Mapping[str, formats.Check]) -> list[str]:
    found = []
    for name, check in checks.items():
        if name in settings and (said := check(settings[name])):
            # For a list or a mapping the message names the malformed item.
            parts = said.startswith(("'", "key ", "value ")) or name.endswith("_range")
            held = f"{name} holds" if parts else f"{name} is"
            value = "" if said.startswith(("'", "key ", "value ")) else f" {formats.quoted(settings[name])}:"
            found.append(f"{held}{value} {said}. {REMEDIES.get(name, REMEDY)}")
    return found


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"malformed": malformed}
