# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Print the API calls: method, resource, status and duration."""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import Any

from localcloud.commands import _home, _process
from localcloud.engine.base import EngineError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calls`."""
    _home.add_arguments(parser)
    parser.add_argument("--since", type=int, metavar="MARK", help="only calls after a mark (default: all)")
    parser.add_argument("--mark", action="store_true", help="print the mark of the latest call, for --since")
    parser.add_argument("--json", action="store_true", help="print a JSON list with all fields")


def run(arguments: argparse.Namespace) -> int:
    """Print one line for each call, oldest first."""
    try:
        found, mark = _process.calls(_home.settings(arguments), arguments.since)
    except EngineError as error:
        print(f"localcloud: {error}", file=sys.stderr)
        return 1
    if arguments.mark:
        print(mark)
    elif arguments.json:
        print(json.dumps(found, indent=2))
    else:
        for call in found:
            print(line(call))
    return 0


def line(call: dict[str, Any]) -> str:
    """Return method, resource, status and duration of a call in one line."""
    duration = call["duration"]
    if duration is None:
        return f"{call['method']} {resource(call)} running"
    return f"{call['method']} {resource(call)} {call['status'] or 'reset'} {duration:.3f}s"


def resource(call: dict[str, Any]) -> str:
    """Return the name of a call's resource: of an answer with a link or a full name, or else the path."""
    name = str(call["name"] or "")
    where = str(call["targetLink"] or (name if "/" in name else call["path"]))
    found = re.search(r"(?:^|/)(projects/.*)", where)
    return found[1] if found else where
