# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Compute the workers, threads and database connections of the MLflow server, and whether the database allows them.

Each worker process of MLflow has one SQLAlchemy pool for runs, one for the model registry and one for users. With
background jobs it has one more. During a cutover two servers have connections at the same time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

POOLS = 3
"""Connection pools of a worker process: tracking store, registry store, auth store."""
JOB_CONNECTIONS = 30
"""Connections of the processes that run background jobs, estimated: three for each of ten processes."""
SERVERS = 2
"""Servers that hold connections during a cutover."""
RESERVED = 10
"""Connections for Cloud SQL itself, backups, upgrades and the doctor."""
THREADS = 40
"""Threads of a worker process, AnyIO's default. A pool never uses more than this number plus one connections."""
MINIMAL_THREADS = 8
"""Minimum number of threads. With fewer threads a worker serves too few requests at a time."""
KEPT_OPEN = 10
"""Idle connections of a pool that stay open."""

# Machine types whose names do not contain the number of CPUs:
# https://cloud.google.com/compute/docs/general-purpose-machines
_SHARED_CORE = {"e2-micro": 2, "e2-small": 2, "e2-medium": 2, "f1-micro": 1, "g1-small": 1}

# https://cloud.google.com/compute/docs/instances/arm-on-compute
_ARM_SERIES = ("a4x", "c4a", "n4a", "t2a")

# Default of max_connections by GiB of memory: https://cloud.google.com/sql/docs/postgres/flags
_MAX_CONNECTIONS = ((120, 1000), (60, 800), (30, 600), (15, 500), (7.5, 400), (6, 200), (3.75, 100), (1.5, 50), (0, 25))
_TIER_MEMORY = {"db-f1-micro": 0.6, "db-g1-small": 1.7}


@dataclass(frozen=True)
class ServerPlan:
    """Workers, threads and connections of the server."""

    workers: int
    """Worker processes."""
    threads: int
    """Threads of each worker. One fewer than the connections of a pool, or requests would wait for each other."""
    pool_size: int
    """Connections of a pool that stay open."""
    max_overflow: int
    """Additional connections of a pool."""
    connections: int
    """Maximum number of connections of the deployment."""
    sum: str
    """Calculation of `connections` as text."""
    fits: bool
    """Whether max_connections allows the connections. True if max_connections is unknown."""


def machine_architecture(machine_type: str) -> str:
    """Return the architecture of a Compute Engine machine type, as Go and Debian name it."""
    return "arm64" if machine_type.split("-")[0] in _ARM_SERIES else "amd64"


def machine_cpus(machine_type: str) -> int:
    """Return the number of vCPUs of a Compute Engine machine type, or 0 if the name does not determine it."""
    if machine_type in _SHARED_CORE:
        return _SHARED_CORE[machine_type]
    if custom := re.fullmatch(r"(?:[a-z0-9]+-)?custom-(\d+)-\d+(?:-ext)?", machine_type):
        return int(custom[1])
    if named := re.fullmatch(r"[a-z0-9]+-[a-z]+-(\d+)(?:-[a-z]+)*", machine_type):
        return int(named[1])
    return 0


def default_max_connections(tier: str) -> int:
    """Return the default of max_connections of a Cloud SQL for PostgreSQL tier, or 0 if the name is unknown."""
    memory = _TIER_MEMORY.get(tier)
    if custom := re.fullmatch(r"db-custom-\d+-(\d+)", tier):
        memory = int(custom[1]) / 1024
    # 8 GiB for each vCPU of Enterprise Plus.
    elif performance := re.fullmatch(r"db-perf-optimized-N-(\d+)", tier):
        memory = int(performance[1]) * 8
    if memory is None:
        return 0
    return next(connections for least, connections in _MAX_CONNECTIONS if memory >= least)


def server_plan(
    *,
    workers: int = 0,
    pool_size: int = 0,
    max_overflow: int = 0,
    cpus: int = 0,
    max_connections: int = 0,
    jobs: bool = False,
) -> ServerPlan:
    """Return the plan of the server. The number 0 means computed or unknown.

    Args:
        workers: Worker processes. Computed: one for each CPU, or fewer if the database allows fewer connections.
        pool_size: Connections of each pool that stay open.
        max_overflow: Additional connections of each pool.
        cpus: CPUs of the VM.
        max_connections: Connections that the database allows.
        jobs: Whether background jobs run.
    """
    pools = POOLS + 1 if jobs else POOLS
    reserved = RESERVED + (SERVERS * JOB_CONNECTIONS if jobs else 0)
    room = max_connections - reserved
    each = pool_size + max_overflow
    if not workers:
        workers = max(1, cpus)
        if max_connections:
            workers = max(1, min(workers, room // (pools * (each or MINIMAL_THREADS + 1) * SERVERS)))
    if not each:
        each = THREADS + 1
        if max_connections:
            each = max(MINIMAL_THREADS + 1, min(each, room // (workers * pools * SERVERS)))
        # MLflow replaces an overflow of 0 by SQLAlchemy's default, which is 10.
        pool_size = min(KEPT_OPEN, each - 1)
        max_overflow = each - pool_size
    connections = workers * pools * each * SERVERS + reserved
    text = (
        f"{workers} worker{'s' if workers > 1 else ''} * {pools} pools * {each} connections"
        f" * {SERVERS} servers during a cutover + {reserved} reserved = {connections}"
    )
    fits = not max_connections or connections <= max_connections
    return ServerPlan(workers, min(THREADS, each - 1), pool_size, max_overflow, connections, text, fits)
