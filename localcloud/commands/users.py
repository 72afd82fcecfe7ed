# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Print the test accounts of accounts.google.com."""

from __future__ import annotations

import argparse
import sys

from localcloud.commands import _home, _process
from localcloud.engine.base import EngineError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `users`."""
    _home.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print one line for each account: address, kind and state."""
    try:
        found = _process.request(_home.settings(arguments), "GET", "users")["users"]
    except EngineError as error:
        print(f"localcloud: {error}", file=sys.stderr)
        return 1
    for user in found:
        kind = f"Google Workspace of {user['hosted_domain']}" if user["hosted_domain"] else "consumer account"
        print(f"{user['email']:<24} {kind}{'' if user['email_verified'] else ', address not verified'}")
    return 0
