# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The admin requests, under `/localcloud/`: faults, profiles, the log of calls, users, OAuth clients.

README.md lists all of them. They are in the same route table as Google's APIs. Only the control node can send them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from starlette.responses import JSONResponse

from localcloud.core.faults import Fault, RandomFaults
from localcloud.core.profile import EVERYWHERE
from localcloud.framework.service import Call, Json, Service

api = Service("localcloud", admin=True)

Handler = Callable[[Call], Json]


def _request(verb: str, path: str) -> Callable[[Handler], Handler]:
    """Bind a handler to a path. Its TypeError, ValueError or KeyError becomes a 400."""

    def bind(handler: Handler) -> Handler:
        def checked(call: Call) -> JSONResponse:
            try:
                return JSONResponse(handler(call))
            except (TypeError, ValueError, KeyError) as error:
                return JSONResponse({"error": str(error)}, status_code=400)

        api.route(verb, path)(checked)
        return handler

    return bind


def _body(call: Call) -> Any:
    return json.loads(call.media.read())


@_request("GET", "/health")
def health(call: Call) -> Json:
    """Return the names of the emulated services."""
    return {"status": "ok", "services": list(call.cloud.traits.names)}


@_request("POST", "/reconcile")
def reconcile(call: Call) -> Json:
    """Start stopped VMs and databases after an outage of the engine."""
    call.cloud.reconcile()
    return {}


@_request("GET", "/calls")
def calls(call: Call) -> Json:
    """Return the calls after the mark `since` (default: all), and the mark for the next request."""
    mark, since = call.cloud.calls.mark(), call.query.get("since")
    return {"calls": call.cloud.calls.since(None if since is None else int(since)), "mark": mark}


@_request("GET", "/calls/mark")
def mark(call: Call) -> Json:
    """Return the mark of the latest call."""
    return {"mark": call.cloud.calls.mark()}


@_request("DELETE", "/calls")
def clear_calls(call: Call) -> Json:
    """Remove all calls from the log."""
    call.cloud.calls.clear()
    return {}


@_request("GET", "/faults")
def faults(call: Call) -> Json:
    """Return the scripted and the random faults."""
    return call.cloud.faults.describe()


@_request("POST", "/faults")
def script_fault(call: Call) -> Json:
    """Make the next calls of a method fail."""
    fault = Fault.of(_body(call))
    call.cloud.faults.script(fault)
    return asdict(fault)


@_request("PUT", "/faults/random")
def randomize(call: Call) -> Json:
    """Make calls fail at random, from a seed."""
    call.cloud.faults.randomize(RandomFaults.of(_body(call)))
    return call.cloud.faults.describe()


@_request("DELETE", "/faults")
def clear_faults(call: Call) -> Json:
    """Remove all faults."""
    call.cloud.faults.clear()
    return call.cloud.faults.describe()


@_request("GET", "/profile")
def profile(call: Call) -> Json:
    """Return the profile of `project` (default: of all projects without a profile)."""
    return asdict(call.cloud.profiles.of(call.query.get("project", EVERYWHERE)))


@_request("PUT", "/profile")
def change_profile(call: Call) -> Json:
    """Set switches of the profile of `project` (default: of all projects without a profile)."""
    return asdict(call.cloud.profiles.change(_body(call), call.query.get("project", EVERYWHERE)))


@_request("POST", "/logins")
def log_in(call: Call) -> Json:
    """Log a user in by `email`; return the credentials file, with `quota_project_id` and of `client_id` if given."""
    body = _body(call)
    return call.cloud.logins.log_in(str(body["email"]), body.get("quota_project_id"), body.get("client_id"))


@_request("GET", "/users")
def users(call: Call) -> Json:
    """Return the people with a Google account."""
    return {"users": [asdict(user) for user in call.cloud.users.list()]}


@_request("PUT", "/users/(?P<email>[^/]+)")
def set_user(call: Call) -> Json:
    """Create a user, or change the given fields of a user."""
    return asdict(call.cloud.users.set(str(call.params["email"]), _body(call)))


@_request("DELETE", "/users/(?P<email>[^/]+)")
def remove_user(call: Call) -> Json:
    """Remove a user, and revoke all tokens and codes."""
    call.cloud.users.remove(str(call.params["email"]))
    return {}


@_request("GET", "/clients")
def clients(call: Call) -> Json:
    """Return name, ID, type and URIs of the OAuth clients."""
    found = [asdict(client) for client in call.cloud.oauth_clients.list()]
    return {"clients": [{name: value for name, value in each.items() if name != "secret"} for each in found]}


@_request("PUT", "/clients/(?P<name>[^/]+)")
def register_client(call: Call) -> Json:
    """Create an OAuth client, or replace its URIs; return its file, as Google's console offers it for download."""
    return call.cloud.oauth_clients.register(str(call.params["name"]), **_body(call)).file


@_request("DELETE", "/clients/(?P<name>[^/]+)")
def remove_client(call: Call) -> Json:
    """Remove an OAuth client."""
    call.cloud.oauth_clients.remove(str(call.params["name"]))
    return {}
