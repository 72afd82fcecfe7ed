# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Write COVERAGE.md: the emulated methods of each API. With --check, only compare it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from localcloud import services
from localcloud.core.contract import Contract
from localcloud.framework.service import Service

PAGE = Path(__file__).resolve().parents[1] / "COVERAGE.md"
_HEAD = """# Coverage

`python -m localcloud coverage` writes this page. A method of Google's contract that is not
emulated answers 501 with its name.

| API | Version | Methods emulated | Methods in the contract |
| --- | --- | --- | --- |
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `coverage`."""
    parser.add_argument("--check", action="store_true", help="exit with 1 if COVERAGE.md is not current")


def run(arguments: argparse.Namespace) -> int:
    """Write or compare the page."""
    text = page(services.load())
    if not arguments.check:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        print(f"{PAGE} is not current. Run: python -m localcloud coverage", file=sys.stderr)
        return 1
    return 0


def page(found: list[Service]) -> str:
    """Return the whole page."""
    versions = [(service, contract) for service in found for contract in service.contracts()]
    rows = [
        f"| {service.name} | {contract.version} | {len(emulated(service, contract))} | {len(contract.methods)} |"
        for service, contract in versions
    ]
    return _HEAD + "\n".join([*rows, *(line for pair in versions for line in _section(*pair))]) + "\n"


def emulated(service: Service, contract: Contract) -> set[str]:
    """Return the ids of the methods of a version that have a handler."""
    return set(service.bound) & contract.methods.keys()


def _section(service: Service, contract: Contract) -> Iterator[str]:
    have = emulated(service, contract)
    collections: dict[str, list[str]] = {}
    for method in sorted(contract.methods):
        collection, _, verb = method.removeprefix(f"{method.partition('.')[0]}.").rpartition(".")
        collections.setdefault(collection or "(no collection)", []).append(verb if method in have else f"~{verb}")
    yield from ("", f"## {service.name} {contract.version}", "")
    without = [name for name, verbs in collections.items() if all(verb.startswith("~") for verb in verbs)]
    for collection, verbs in collections.items():
        if collection in without:
            continue
        missing = [verb[1:] for verb in verbs if verb.startswith("~")]
        line = f"- {collection}: {', '.join(verb for verb in verbs if not verb.startswith('~'))}."
        yield line + (f" Not emulated: {', '.join(missing)}." if missing else "")
    if without:
        yield f"- Collections without an emulated method: {', '.join(without)}."
