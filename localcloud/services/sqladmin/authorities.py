# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The CAs of a server: list, add the next CA, rotate to it, roll back.

Besides the active CA, an instance has at most two CAs: the previous and the next.
"""

from __future__ import annotations

import datetime

from localcloud.framework.cloud import Work, step
from localcloud.framework.service import Call, Json
from localcloud.services.sqladmin.api import (
    api,
    check_writable,
    engine_errors,
    etag,
    instance_of,
    instances,
    invalid,
    key_of,
    private,
    start,
)
from localcloud.services.sqladmin.documents import SQL
from localcloud.services.sqladmin.secrets import issue


def _others(own: Json) -> list[Json]:
    """Return the CAs besides the active CA, each with its server certificate."""
    found: list[Json] = own.get("authorities") or []
    return found


@api.method("sql.instances.listServerCas", permission="cloudsql.instances.listServerCas")
def listed(call: Call) -> Json:
    """Return the CAs that clients should trust."""
    active = instance_of(call)["serverCaCert"]
    others = [other["authority"] for other in _others(private(call.cloud, key_of(call)))]
    certificates = sorted([active, *others], key=lambda certificate: str(certificate["createTime"]))
    return {
        "kind": "sql#instancesListServerCas",
        "certs": certificates,
        "activeVersion": active["sha1Fingerprint"],
    }


@api.method("sql.instances.addServerCa", permission="cloudsql.instances.addServerCa")
def add(call: Call) -> Json:
    """Create the next CA. The server keeps using the active CA."""
    with call.cloud.store.transaction():
        check_writable(call)
        if any(other["next"] for other in _others(private(call.cloud, key_of(call)))):
            raise invalid("Invalid request: There is an upcoming server CA already. Rotate to it first.")
        return start(call, "addServerCa", "UPDATE")


@step("sqladmin.addServerCa")
def added(work: Work) -> None:
    """Create the next CA and delete the previous CA."""
    cloud, key = work.cloud, work.args["key"]
    _, project, _, name = key.split("/")
    made = issue(project, name, f"{SQL}/{key}", datetime.datetime.now(datetime.UTC))
    new = {"authority": made.authority, "certificate": made.certificate, "key": made.key, "next": True}
    with cloud.store.transaction():
        own = private(cloud, key)
        cloud.store.collection("sqladmin.private").put(key, own | {"authorities": [new]})


@api.method("sql.instances.rotateServerCa", permission="cloudsql.instances.rotateServerCa")
def rotate(call: Call) -> Json:
    """Rotate the server certificate to another CA: the next CA, or the CA named by `nextVersion`."""
    wanted = (call.body.get("rotateServerCaContext") or {}).get("nextVersion")
    with call.cloud.store.transaction():
        check_writable(call)
        others = _others(private(call.cloud, key_of(call)))
        found = [o for o in others if (o["authority"]["sha1Fingerprint"] == wanted if wanted else o["next"])]
        if not found:
            raise invalid("Invalid request: There is no server CA to rotate to. Add one first.")
        return start(call, "rotateServerCa", "UPDATE", {"version": found[0]["authority"]["sha1Fingerprint"]})


@step("sqladmin.rotateServerCa")
def rotated(work: Work) -> None:
    """Install the new certificate on the server, then show it. The formerly active CA is kept."""
    cloud, key, version = work.cloud, work.args["key"], work.args["version"]
    own = private(cloud, key)
    new = next((o for o in _others(own) if o["authority"]["sha1Fingerprint"] == version), None)
    if new is None:  # an interrupted attempt already did the rotation
        return
    with engine_errors("Failed to rotate the server CA"):
        cloud.engine.databases.set_certificate(own["engine"], new["certificate"], new["key"])
    with cloud.store.transaction():
        instance = instances(cloud).get(key)
        old = {"authority": instance["serverCaCert"], "certificate": own["certificate"], "key": own["key"]}
        changed = own | {"certificate": new["certificate"], "key": new["key"]}
        changed["authorities"] = [old | {"next": False}]
        cloud.store.collection("sqladmin.private").put(key, changed)
        instance = {k: v for k, v in instance.items() if k != "etag"} | {"serverCaCert": new["authority"]}
        instances(cloud).update(key, lambda _: instance | {"etag": etag(instance)})
