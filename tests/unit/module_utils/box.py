# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A kind of resource with a field of each type, whose fields are patched."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._client import Client
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._convergence import Convergence
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._fields import Field
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._resource import Resource

Json = dict[str, Any]
ALL = "projects/p/global/boxes"
ONE = f"{ALL}/b"


class Box(Resource):
    """A kind whose fields are all patched."""

    kind = "box"
    collection = "projects/{project}/global/boxes"
    guard = "fingerprint"
    busy = ("PENDING",)
    broken = ("FAILED", "LOST")
    options = {  # noqa: RUF012
        "token": {"type": "str", "no_log": True},
        "login": {"type": "dict", "options": {"user": {"type": "str"}, "key": {"type": "str", "no_log": True}}},
        "rule": {"type": "dict", "options": {"days": {"type": "int"}}},
        "disk": {"type": "dict", "options": {"disk_type": {"type": "str"}, "ip_protocol": {"type": "str"}}},
        "ranges": {"type": "list", "options": {"ports": {"type": "list"}}},
    }
    fields = {  # noqa: RUF012
        "size": Field(),
        "machine_type": Field(immutable=True),
        "zone_name": Field(at="place.zone", immutable=True),
        "ranges": Field(unordered=True),
        "labels": Field(),
        "rule": Field(exact=True),
        "token": Field(immutable=True),
        "login": Field(),
        "note": Field(hidden=True),
        "image": Field(compare=False),
        "disk": Field(names={"ip_protocol": "IPProtocol"}),
    }


class MaskedBox(Box):
    patch_style = "mask"
    guard = ""


class BucketLikeBox(Box):
    guard = "ifMetagenerationMatch"

    def current_value(self, option: str, current: Json) -> Any:
        """Return the current value. The API omits the default."""
        return super().current_value(option, current) or ("small" if option == "size" else None)


def box(client: Client, *, kind: type[Resource] = Box, check: bool = False, **params: Any) -> Convergence:
    return Convergence(kind(client, {"project": "p", "name": "b", **params}), check_mode=check)


def there(**changes: Any) -> Json:
    return {"name": "b", "status": "READY", **changes}
