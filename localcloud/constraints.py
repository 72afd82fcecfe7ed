# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Constraints of organization policies that the local cloud follows, and whether a project enforces them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localcloud.cloud import Cloud
    from localcloud.store import Collection

NO_DEFAULT_NETWORK = "constraints/compute.skipDefaultNetworkCreation"
NO_DEFAULT_GRANTS = "constraints/iam.automaticIamGrantsForDefaultServiceAccounts"
# Whether a constraint holds where no policy is set: as in an organization that is new at Google.
BOOLEAN = {NO_DEFAULT_NETWORK: False, NO_DEFAULT_GRANTS: True}


def policies(cloud: Cloud) -> Collection:
    """Return the policies of projects, by `PROJECT/CONSTRAINT`."""
    return cloud.store.collection("orgpolicy.policies")


def enforced(cloud: Cloud, project: str, constraint: str) -> bool:
    """Return whether a boolean constraint holds in a project."""
    policy = policies(cloud).get(f"{project}/{constraint}")
    if policy is None or "booleanPolicy" not in policy:
        return BOOLEAN[constraint]
    return bool(policy["booleanPolicy"].get("enforced"))
