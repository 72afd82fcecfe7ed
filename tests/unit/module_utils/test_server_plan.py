# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The server never opens more database connections than the database allows."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.filter.max_connections import max_connections
from ansible_collections.mlops.mlflow_gcp.plugins.filter.server_plan import FilterModule
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._server_plan import (
    MINIMAL_THREADS,
    THREADS,
    default_max_connections,
    machine_architecture,
    machine_cpus,
    server_plan,
)


def test_eight_workers_on_the_default_database_are_refused() -> None:
    """Eight workers with three pools each, twice during a cutover: PostgreSQL refused connections."""
    plan = server_plan(workers=8, cpus=2, max_connections=200)
    assert not plan.fits
    assert plan.sum == "8 workers * 3 pools * 9 connections * 2 servers during a cutover + 10 reserved = 442"


@pytest.mark.parametrize(
    ("given", "workers", "threads", "pool"),
    [
        ({"cpus": 2, "max_connections": 200}, 2, 14, (10, 5)),
        ({"cpus": 4, "max_connections": 200}, 3, 9, (9, 1)),
        ({"cpus": 4, "max_connections": 1000}, 4, 40, (10, 31)),
        ({"cpus": 2, "max_connections": 100}, 1, 14, (10, 5)),
        ({"cpus": 2}, 2, 40, (10, 31)),
        ({}, 1, 40, (10, 31)),
        ({"workers": 1, "pool_size": 20, "max_overflow": 5, "max_connections": 200}, 1, 24, (20, 5)),
        ({"cpus": 4, "pool_size": 10, "max_overflow": 31, "max_connections": 512}, 2, 40, (10, 31)),
    ],
)
def test_missing_values_are_computed(given: dict[str, int], workers: int, threads: int, pool: tuple[int, int]) -> None:
    plan = server_plan(**given)
    assert (plan.workers, plan.threads, (plan.pool_size, plan.max_overflow)) == (workers, threads, pool)
    assert plan.fits


def test_a_plan_that_fits_never_exceeds_the_database_nor_deadlocks() -> None:
    choices = itertools.product([0, 1, 2, 5, 8], [0, 1, 2, 16], range(25, 1001, 25), [False, True])
    for workers, cpus, allowed, jobs in choices:
        plan = server_plan(workers=workers, cpus=cpus, max_connections=allowed, jobs=jobs)
        each = plan.pool_size + plan.max_overflow
        assert MINIMAL_THREADS <= plan.threads <= THREADS
        assert plan.threads < each
        # MLflow treats 0 as the default of the library.
        assert min(plan.pool_size, plan.max_overflow) >= 1
        assert plan.workers == workers or not workers
        held = 2 * plan.workers * each * (4 if jobs else 3)
        assert plan.fits == (plan.connections <= allowed)
        assert held < plan.connections
        assert plan.sum.endswith(f"= {plan.connections}")


@pytest.mark.parametrize(
    ("machine_type", "cpus"),
    [
        ("e2-standard-2", 2),
        ("e2-medium", 2),
        ("f1-micro", 1),
        ("n2-highmem-64", 64),
        ("c3-standard-22-lssd", 22),
        ("custom-4-8192", 4),
        ("n2-custom-6-12288-ext", 6),
        ("a2-highgpu-1g", 0),
        ("something", 0),
    ],
)
def test_cpus_of_a_machine_type(machine_type: str, cpus: int) -> None:
    assert machine_cpus(machine_type) == cpus


@pytest.mark.parametrize(
    ("tier", "connections"),
    [
        ("db-f1-micro", 25),
        ("db-g1-small", 50),
        ("db-custom-1-3840", 100),
        ("db-custom-2-7680", 400),
        ("db-perf-optimized-N-2", 500),
        ("db-custom-64-131072", 1000),
        ("db-n1-standard-1", 0),
    ],
)
def test_connections_of_a_tier(tier: str, connections: int) -> None:
    assert default_max_connections(tier) == connections


@pytest.mark.parametrize(
    ("flags", "connections"),
    [({}, 100), ({"max_connections": "200"}, 200), ({"max_connections": 300}, 300), ({"max_connections": "many"}, 100)],
)
def test_connections_of_an_instance(flags: dict[str, object], connections: int) -> None:
    assert max_connections(flags, "db-custom-1-3840") == connections


def test_the_filter_hands_a_dictionary_to_templates() -> None:
    plan = FilterModule().filters()["server_plan"]({"cpus": 2, "max_connections": 200})
    assert isinstance(plan, dict)
    assert plan["workers"] == 2


@pytest.mark.parametrize(
    ("machine_type", "architecture"),
    [("e2-standard-2", "amd64"), ("t2d-standard-4", "amd64"), ("t2a-standard-4", "arm64"), ("c4a-highmem-8", "arm64")],
)
def test_the_architecture_of_a_machine_type(machine_type: str, architecture: str) -> None:
    assert machine_architecture(machine_type) == architecture
