# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The options that name a local cloud, for all commands."""

from __future__ import annotations

import argparse
import os
import pathlib

from localcloud.core import locks
from localcloud.core.settings import Settings
from localcloud.engine.base import EngineError

PORT = 8787


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a local cloud."""
    home = os.environ.get("MLFLOW_LOCALCLOUD_HOME") or default_home(pathlib.Path(__file__))
    parser.add_argument(
        "--home", type=pathlib.Path, default=pathlib.Path(home), help="its state (default: %(default)s)"
    )
    port = os.environ.get("MLFLOW_LOCALCLOUD_PORT") or str(PORT)
    parser.add_argument("--port", type=_port, default=port, help="its port on 127.0.0.1 (default: %(default)s)")


def default_home(module: pathlib.Path) -> pathlib.Path:
    """Return `.localcloud` in the clone, or in the user's home directory if the package is installed."""
    folder = module.resolve().parents[2]
    return (pathlib.Path.home() if folder.name in ("site-packages", "dist-packages") else folder) / ".localcloud"


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port (MLFLOW_LOCALCLOUD_PORT sets it too): choose 1 to 65535")
    return int(text)


def refuse_other(mine: Settings) -> None:
    """Raise EngineError if a local cloud with another home uses this host's network. Both would share one network."""
    holder = locks.holder(locks.MACHINE)
    if holder is not None and holder != str(mine.home):
        raise EngineError(locks.other_cloud(holder))


def settings(arguments: argparse.Namespace) -> Settings:
    """Return the settings that the options name."""
    return Settings(home=arguments.home.resolve(), url=f"http://127.0.0.1:{arguments.port}")
