# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Wait for long-running operations of Cloud DNS, Compute, SQL Admin, Service Networking and Service Usage."""

from __future__ import annotations

import re

from ._client import Client, GoogleError, Json

# google.rpc.Code → HTTP status, for errors inside google.longrunning operations.
_RPC_CODES = {3: 400, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501, 13: 500, 14: 503, 16: 401}


def is_operation(api: str, answer: Json) -> bool:
    """Return whether a response of this API is an operation and not a resource."""
    if api in {"compute", "dns", "sql"}:
        return answer.get("kind") == f"{api}#operation"
    return bool(re.match(r"operations/", str(answer.get("name", "")))) or (
        answer.get("done") is True and "name" in answer
    )


def wait(client: Client, api: str, operation: Json) -> Json:
    """Wait until the operation is done and return it.

    Raises GoogleError with the operation's own error, which the service delivers in an HTTP 200. If the client's
    deadline comes first, the reason is ``deadlineExceeded``. Then the operation continues, and the next run finds its
    result.
    """
    retry = client.retry(longest=2.0 if api == "compute" else 15.0)

    def poll() -> Json:
        # Compute's wait blocks until the end. The other APIs are polled, after a pause.
        return _poll(client, api, operation) if retry.attempts or api == "compute" else operation

    if not done(api, operation):
        try:
            operation = retry.call(poll, unfinished=lambda latest: not done(api, latest))
        except GoogleError as error:
            if error.reason == "connection" and client.deadline.left() < retry.backoff(retry.attempts):
                raise _late(client, api, operation) from error  # the deadline ended the wait; the network is fine
            raise
    if not done(api, operation):
        raise _late(client, api, operation)
    _raise_error(api, operation)
    return operation


def _late(client: Client, api: str, operation: Json) -> GoogleError:
    name = operation.get("name") or operation.get("id", "")
    message = f"operation {name} is still running after {client.deadline.seconds:.0f} s"
    return GoogleError(0, "deadlineExceeded", message, api=api)


def done(api: str, operation: Json) -> bool:
    """Return whether an operation has ended, with success or failure."""
    if api in {"compute", "dns", "sql"}:
        return str(operation.get("status")).upper() == "DONE"  # Cloud DNS uses small letters
    return bool(operation.get("done"))


def _poll(client: Client, api: str, operation: Json) -> Json:
    if api == "compute":
        # The operation has its own scope (global, region, zone), not the resource's scope.
        return client.request("POST", api, _from_projects(operation["selfLink"]) + "/wait")
    if api == "dns":
        zone = operation["zoneContext"]["newValue"]["name"]
        return client.get(api, f"projects/{client.project}/managedZones/{zone}/operations/{operation['id']}")
    if api == "sql":
        project = operation.get("targetProject") or _from_projects(operation["selfLink"]).split("/")[1]
        return client.get(api, f"v1/projects/{project}/operations/{operation['name']}")
    return client.get(api, f"v1/{operation['name']}")


def _from_projects(link: str) -> str:
    return link[link.index("projects/") :]


def _raise_error(api: str, operation: Json) -> None:
    error = operation.get("error")
    if not error:
        return
    if api in {"compute", "sql"}:
        entries = error.get("errors") or [{}]
        reason = str(entries[0].get("code") or operation.get("httpErrorMessage") or "operationFailed")
        message = "; ".join(str(entry.get("message") or entry.get("code")) for entry in entries)
        details = [detail.get("errorInfo") or {} for entry in entries for detail in entry.get("errorDetails") or ()]
        raise GoogleError(int(operation.get("httpErrorStatusCode") or 0), reason, message, details, api=api)
    details = [detail for detail in error.get("details") or () if isinstance(detail, dict)]
    reason = next((str(detail["reason"]) for detail in details if detail.get("reason")), "operationFailed")
    raise GoogleError(
        _RPC_CODES.get(int(error.get("code") or 0), 500), reason, str(error.get("message") or ""), details, api=api
    )
