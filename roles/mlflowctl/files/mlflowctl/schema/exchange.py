# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Keep the databases of an upgrade under other names, restore them, drop them."""

from __future__ import annotations

import sys
import time
from typing import Any

from .names import MARK, before, discarded, failed, fresh
from .server import Server


def copy(server: Server, upgrade: str) -> dict[str, Any]:
    """Keep the databases under other names and put copies in their place."""
    names, started = server.databases.names, time.monotonic()
    server.sweep()
    present = server.existing()
    if upgrade and all(before(name) in present and server.mark(before(name)) == upgrade for name in names):
        return {"copied": [], "kept": [before(name) for name in names], "seconds": 0.0}
    # Free disk space for the copies. The databases of the last upgrade are not needed once a new upgrade starts.
    forget(server)
    refused = [setting for name in names for setting in server.duplicate(name)]
    if refused:
        print(f"PostgreSQL refused to copy these database settings: {', '.join(refused)}", file=sys.stderr)

    def leave_mark() -> None:
        for name in names:
            comment = server.comment(before(name))
            server.set_comment(before(name), f"{MARK}{upgrade}" + (f"\n{comment}" if comment else ""))

    exchange = [pair for name in names for pair in ((name, before(name)), (fresh(name), name))]
    server.rename(exchange, leave_mark)
    return {
        "copied": list(names),
        "kept": [before(name) for name in names],
        "seconds": round(time.monotonic() - started, 3),
    }


def restore(server: Server, upgrade: str, *, keep_failed: bool) -> dict[str, Any]:
    """Give the kept databases their names again. Drop the databases in their place, or keep them as NAME_failed."""
    started = time.monotonic()
    server.sweep()
    present = server.existing()
    names = [
        name
        for name in server.databases.names
        if before(name) in present and (not upgrade or server.mark(before(name)) == upgrade)
    ]
    kept = [name for name in names if keep_failed and name in present]
    exchange = [(failed(name), discarded(name)) for name in kept if failed(name) in present]
    for name in names:
        if name in present:
            exchange.append((name, failed(name) if keep_failed else discarded(name)))
        exchange.append((before(name), name))

    def remove_mark() -> None:
        for name in names:
            if server.mark(name) is not None:
                server.set_comment(name, server.comment(name).partition("\n")[2])

    if exchange:
        server.rename(exchange, remove_mark)
    server.sweep()
    return {
        "restored": names,
        "failed": [failed(name) for name in kept],
        "seconds": round(time.monotonic() - started, 3),
    }


def forget(server: Server) -> dict[str, Any]:
    """Drop the kept databases."""
    server.sweep()
    present = server.existing()
    names = [name for name in server.databases.names if before(name) in present]
    # Rename all databases in one transaction first, because a rollback needs both databases or none.
    if names:
        server.rename([(before(name), discarded(name)) for name in names])
    server.sweep()
    return {"forgotten": [before(name) for name in names]}
