# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Cloud SQL Admin, v1 and v1beta4: PostgreSQL instances on private addresses, their databases, users and backups.

Not as at Google: the name of a deleted instance may be used again at once (there it is taken for a week); databases and
users made with SQL, past the API, are not listed; nothing answers on a public address; there are no replicas, client
certificates or IAM logins.
"""

from localcloud.services.sqladmin import (
    _authorities,
    _backups,
    _databases,
    _instances,
    _operations,
    _reconcile,
    _reference,
    _steps,
    _users,
)
from localcloud.services.sqladmin._service import api

__all__ = [
    "_authorities",
    "_backups",
    "_databases",
    "_instances",
    "_operations",
    "_reconcile",
    "_reference",
    "_steps",
    "_users",
    "api",
]
