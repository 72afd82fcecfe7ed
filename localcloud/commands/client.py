# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Register an OAuth client and print its file, as Google's console offers it for download.

A second call with the same name replaces the URIs and keeps ID and secret.
"""

from __future__ import annotations

import argparse
import json
import sys
from urllib.parse import quote

from localcloud.commands import _home, _process
from localcloud.engine.base import EngineError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `client`."""
    _home.add_arguments(parser)
    parser.add_argument("name", help="the client's name on the sign-in page")
    parser.add_argument("--type", choices=("web", "desktop"), default="web", help="(default: %(default)s)")
    parser.add_argument("--redirect-uri", action="append", default=[], metavar="URI", help="may be repeated")
    parser.add_argument("--origin", action="append", default=[], metavar="URI", help="may be repeated")


def run(arguments: argparse.Namespace) -> int:
    """Print the file. It contains the secret."""
    body: dict[str, object] = {"type": arguments.type}
    if arguments.type == "web":
        body |= {"redirect_uris": arguments.redirect_uri, "javascript_origins": arguments.origin}
    try:
        name = quote(arguments.name, safe="")
        print(json.dumps(_process.request(_home.settings(arguments), "PUT", f"clients/{name}", body), indent=2))
    except EngineError as error:
        print(f"localcloud: {error}", file=sys.stderr)
        return 1
    return 0
