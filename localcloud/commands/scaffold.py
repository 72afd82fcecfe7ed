# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Write the skeletons of a new method's handler and its test: scaffold compute.routes.list."""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from pathlib import Path
from typing import Any

from localcloud import services
from localcloud.core.contract import Contract, Method
from localcloud.core.settings import PROJECT
from localcloud.framework.service import Service

_HEAD = "# Copyright (c) 2026, the mlops.mlflow_gcp authors\n# SPDX-License-Identifier: Apache-2.0\n"


class ScaffoldError(Exception):
    """The method cannot be added; the message gives the reason."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `scaffold`."""
    parser.add_argument("method", help="the method's ID in the contract, such as compute.routes.list")
    repository = Path(__file__).resolve().parents[2]
    parser.add_argument("--repository", type=Path, default=repository, help="where to write (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Append the skeletons to the files of the method's collection; create missing files."""
    try:
        service, contract = find(services.load(), arguments.method)
        for path in write(arguments.repository, service, contract.methods[arguments.method], contract):
            print(path)
    except ScaffoldError as error:
        print(f"localcloud: {error}", file=sys.stderr)
        return 1
    return 0


def find(found: list[Service], method_id: str) -> tuple[Service, Contract]:
    """Return the service and the contract of a method without a handler. Raises ScaffoldError."""
    matches = [(s, contract) for s in found for contract in s.contracts() if method_id in contract.methods]
    if not matches:
        names = ", ".join(sorted({service.name for service in found if service.versions}))
        raise ScaffoldError(f"no emulated API has the method {method_id}. The emulated APIs are {names}")
    if any(method_id in service.bound for service, _ in matches):
        raise ScaffoldError(f"the method {method_id} has a handler already")
    return matches[0]


def write(repository: Path, service: Service, method: Method, contract: Contract) -> tuple[Path, Path]:
    """Write both skeletons; return the paths of the handler's file and of the test's file."""
    collection = method.id.split(".")[-2]
    name, verb = snake(collection), snake(method.id.split(".")[-1])
    folder = repository / "localcloud" / "services" / service.name
    handlers = folder / f"{_file(service, method.id) or name}.py"
    tests = repository / "tests" / "localcloud" / f"test_{service.name}_{handlers.stem}.py"
    function = f"{verb}_{name}" if keyword.iskeyword(verb) or verb in ("list", "set") else verb
    _append(
        handlers,
        f'"""{collection}: handlers."""',
        [
            "from localcloud.framework.service import Call, Json",
            f"from localcloud.services.{service.name}.api import {variable(service)}",
        ],
        _handler(service, method, contract, function),
    )
    _append(
        tests,
        f'"""{service.name}: {collection}."""',
        ["from tests.localcloud.harness import Session"],
        _test(service, method, f"{name}_{verb}"),
    )
    return handlers, tests


def _file(service: Service, method_id: str) -> str | None:
    """Return the name of the file that has the collection's other handlers."""
    collection = method_id.rpartition(".")[0]
    for known, bound in service.bound.items():
        module = bound.handler.__module__
        if known.rpartition(".")[0] == collection and module.startswith(f"localcloud.services.{service.name}."):
            return module.rpartition(".")[2]
    return None


def variable(service: Service) -> str:
    """Return the name of the service's object in its `api.py`."""
    module = sys.modules[f"localcloud.services.{service.name}.api"]
    return next(name for name, value in vars(module).items() if value is service)


def snake(name: str) -> str:
    """Return a camelCase name in snake_case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _handler(service: Service, method: Method, contract: Contract, function: str) -> str:
    about = _description(contract.document, method.id)
    answer = f"an object {method.response}" if method.response else "no body"
    body = f"an object {method.request}" if method.request else "no body"
    required = sorted(name for name, spec in method.parameters.items() if spec.get("required"))
    optional = sorted(set(method.parameters) - set(required))
    return f'''@{variable(service)}.method("{method.id}", permission="{_permission(service, method.id)}")
def {function}(call: Call) -> Json:
    """{about}"""
    # call.params: {", ".join(required)}; optional: {", ".join(optional) or "none"}.
    # call.body: {body}. Return {answer}; the contract checks both.
    raise NotImplementedError("{method.id}")
'''


def _permission(service: Service, method_id: str) -> str:
    """Return a likely permission: most are named SERVICE.COLLECTION.VERB. Compare it with Google's documentation."""
    prefixes = [b.permission.partition(".")[0] for b in service.bound.values() if b.permission]
    prefix = max(set(prefixes), key=prefixes.count) if prefixes else service.name
    *_, collection, verb = method_id.split(".")
    return f"{prefix}.{collection}.{verb}"


def _test(service: Service, method: Method, name: str) -> str:
    path = re.sub(r"\{\+?(\w+)\}", lambda found: _example(found[1], method.parameters[found[1]]), method.path)
    prefix = "" if method.path.startswith(f"/{service.name}/") else f"/{service.name}"
    query = "&".join(
        f"{each}={each.upper()}"
        for each, spec in method.parameters.items()
        if spec.get("required") and spec["location"] == "query"
    )
    path += f"?{query}" if query else ""
    body = ", json={}" if method.request else ""
    return f'''def test_{name}(owner: Session) -> None:
    answer = owner.call("{method.http_method}", "{prefix}{path}"{body})
    assert answer == {{}}, "replace {{}} with the answer of Google's documentation"
'''


def _example(name: str, spec: dict[str, Any]) -> str:
    if name in ("project", "projectId", "projectsId"):
        return PROJECT
    named = re.sub(r"\[\^/\]\+", "NAME", str(spec.get("pattern", "")).strip("^$"))
    return re.sub(r"^projects/NAME", f"projects/{PROJECT}", named) if "/" in named else name.upper()


def _description(document: dict[str, Any], method_id: str) -> str:
    def search(resource: dict[str, Any]) -> str | None:
        for raw in resource.get("methods", {}).values():
            if raw["id"] == method_id:
                return str(raw.get("description", ""))
        return next(filter(None, map(search, resource.get("resources", {}).values())), None)

    first = re.split(r"(?<=\.)\s", search(document) or "")[0].strip()
    return (first or f"Answer {method_id}.")[:110]


def _append(path: Path, docstring: str, imports: list[str], code: str) -> None:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if not text:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = f"{_HEAD}{docstring}\n\nfrom __future__ import annotations\n\n" + "\n".join(imports) + "\n"
    for line in imports:
        _, _, names = line.partition(" import ")
        missing = [
            name for name in names.split(", ") if not re.search(rf"^(?:from .* import .*\b|    ){name}\b", text, re.M)
        ]
        if missing:
            statement = f"{line.partition(' import ')[0]} import {', '.join(missing)}"
            text = text.replace(
                "from __future__ import annotations\n", f"from __future__ import annotations\n\n{statement}", 1
            )
    path.write_text(f"{text.rstrip()}\n\n\n{code}", encoding="utf-8")
