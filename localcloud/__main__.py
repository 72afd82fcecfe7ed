# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m localcloud COMMAND`: one module in localcloud.commands per command."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys

from localcloud import commands


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run a command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="localcloud", description="A local stand-in for Google Cloud.")
    subparsers = parser.add_subparsers(dest="command", required=True)
    for module in pkgutil.iter_modules(commands.__path__):
        if module.name.startswith("_"):
            continue
        command = importlib.import_module(f"{commands.__name__}.{module.name}")
        subparser = subparsers.add_parser(module.name, help=(command.__doc__ or "").splitlines()[0])
        command.configure(subparser)
        subparser.set_defaults(run=command.run)
    parsed = parser.parse_args(arguments)
    return int(parsed.run(parsed) or 0)


if __name__ == "__main__":
    sys.exit(main())
