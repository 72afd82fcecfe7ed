# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Print the CA certificates of the ACME directory: of its TLS listener, and of the certificates that it signs."""

from __future__ import annotations

import argparse
import ssl
import sys
import urllib.error
import urllib.request

from localcloud.commands import _home


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `acme`."""
    _home.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the certificates in PEM form."""
    from localcloud.engine.acme import MANAGEMENT

    own = _home.settings(arguments).home / "ca" / "ca.crt"
    url = f"https://{MANAGEMENT[0]}:{MANAGEMENT[1]}/roots/0"
    try:
        context = ssl.create_default_context(cafile=str(own))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(url, timeout=10) as answer:
            root = answer.read().decode()
    except (OSError, urllib.error.URLError) as error:
        print(
            f"localcloud: cannot read {url}: {error}. The ACME directory runs if pebble was installed when the local"
            " cloud started: apt-get install pebble, then localcloud down and up",
            file=sys.stderr,
        )
        return 1
    print(own.read_text().strip() + "\n" + root.strip())
    return 0
