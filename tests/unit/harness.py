# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A scripted Google: the expected requests in order, with their responses.

docs/new-resource.md has an example.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Mapping
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qsl, urlsplit

import pytest
import responses
from ansible.module_utils import _internal
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _client
from responses.registries import OrderedRegistry

Json = dict[str, Any]
PROJECT = "my-project"


def error(status: int, reason: str, message: str = "no", *, details: list[Json] | None = None) -> Json:
    """Return an error in Google's format."""
    envelope: Json = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
    return {"error": envelope | ({"details": details} if details else {})}


class Script(OrderedRegistry):
    """The expected requests in order, without the requests of threads that other code left running.

    An earlier test may have started such a thread, for example for MLflow's telemetry. google-auth starts one that asks
    for allowedLocations. Their requests are refused, and must not end the order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[Any] = []
        self._earlier = set(threading.enumerate()) - {threading.current_thread()}

    def find(self, request: Any) -> tuple[Any, list[str]]:
        """Return the answer to a request, or the reasons against it."""
        if threading.current_thread() in self._earlier or request.url.endswith("/allowedLocations"):
            self.refused.append(request)
            return None, ["a request of another thread"] * len(self.registered)
        return super().find(request)


class FakeClock(_client.Clock):
    """A clock that only `sleep` advances."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.sleeps: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds


class Cloud:
    """Expected requests in order. Each must be sent, and no other request is allowed."""

    def __init__(self, script: responses.RequestsMock) -> None:
        self.script = script
        self._operations = 0

    @property
    def requests(self) -> list[Any]:
        """Return the requests so far."""
        refused = {id(request) for request in self.script.get_registry().refused}
        return [call.request for call in self.script.calls if id(call.request) not in refused]

    def expect(
        self,
        method: str,
        api: str,
        path: str,
        answer: Json | str | Exception | None = None,
        *,
        status: int = 200,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Expect a request with exactly this JSON body and query (except Compute's requestId), and answer it."""

        def matches(request: Any) -> tuple[bool, str]:
            asked = dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))
            mutation = api == "compute" and method != "GET" and not path.endswith("/wait")
            if mutation and not uuid.UUID(asked.pop("requestId", str(uuid.UUID(int=0)))).int:
                return False, "a Compute mutation needs a requestId"
            if asked != dict(query or {}):
                return False, f"query is {asked}, expected {dict(query or {})}"
            sent = json.loads(request.body) if request.body else None
            return sent == body, f"body is {json.dumps(sent)}, expected {json.dumps(body)}"

        content: dict[str, Any] = {"body": answer} if isinstance(answer, (str, Exception)) else {"json": answer or {}}
        base = _client.ENDPOINTS[api]
        self.script.add(method, base + path, status=status, match=[matches], headers=dict(headers or {}), **content)

    def get(self, api: str, path: str, answer: Json | None, **kwargs: Any) -> None:
        """Expect a GET. None is answered with a 404."""
        if answer is None:
            self.expect("GET", api, path, error(404, "notFound"), status=404, **kwargs)
        else:
            self.expect("GET", api, path, answer, **kwargs)

    def fails(
        self, method: str, api: str, path: str, status: int, reason: str, message: str = "no", **kwargs: Any
    ) -> None:
        """Expect a request and answer with an error."""
        details = kwargs.pop("details", None)
        self.expect(method, api, path, error(status, reason, message, details=details), status=status, **kwargs)

    def mutates(self, method: str, api: str, path: str, *, failure: Json | None = None, **kwargs: Any) -> None:
        """Expect a mutation that answers with a running operation, and the wait for it.

        ``failure`` is the operation's error.
        """
        self._operations += 1
        name = f"operation-{self._operations}"
        done = {"error": failure, "httpErrorStatusCode": 400} if failure and api == "compute" else {}
        done |= {"error": failure} if failure else {}
        if api == "compute":
            scope = path.split("/")
            scope = scope[:4] if scope[2] in {"zones", "regions"} else [*scope[:2], "global"]
            where = "/".join([*scope, "operations", name])
            link = f"https://www.googleapis.com/compute/v1/{where}"
            operation: Json = {"kind": "compute#operation", "name": name, "selfLink": link, "status": "RUNNING"}
            self.expect(method, api, path, operation, **kwargs)
            self.expect("POST", api, f"{where}/wait", operation | done | {"status": "DONE"})
        elif api == "sql":
            operation = {"kind": "sql#operation", "name": name, "targetProject": PROJECT, "status": "PENDING"}
            self.expect(method, api, path, operation, **kwargs)
            self.expect("GET", api, f"v1/projects/{PROJECT}/operations/{name}", operation | done | {"status": "DONE"})
        else:
            self.expect(method, api, path, {"name": f"operations/{name}"}, **kwargs)
            self.expect("GET", api, f"v1/operations/{name}", {"name": f"operations/{name}", "done": True} | done)


class Play:
    """Run a module's main() as Ansible does and return its result."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, module: Any, *, check: bool = False, fails: bool = False, **params: Any) -> Json:
        """Run the module. ``fails`` is True if the module must fail."""
        args = {"project": PROJECT, "auth_kind": "access_token", "access_token": "token-of-the-test", **params}
        args = {option: value for option, value in args.items() if value is not None}  # None: the option is not set
        args |= {"_ansible_check_mode": check, "_ansible_diff": True}
        self.capsys.readouterr()
        # Other tests load Ansible's controller code. A module would then print its warnings there, and only once.
        as_module = patch.object(_internal, "is_controller", False)
        warnings._global_warnings.clear()  # otherwise the result repeats the warnings of earlier runs
        with as_module, patch_module_args(args), pytest.raises(SystemExit):
            module.main()
        printed = self.capsys.readouterr().out
        assert "token-of-the-test" not in printed
        result: Json = json.loads(printed)
        assert bool(result.get("failed")) is fails, result.get("msg", result)
        return result


def scripted() -> responses.RequestsMock:
    """Return the context of a Cloud."""
    return responses.RequestsMock(assert_all_requests_are_fired=True, registry=Script)
