# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The database flags of Cloud SQL for PostgreSQL that the local cloud accepts."""

from __future__ import annotations

import re

from localcloud.framework.service import Json
from localcloud.services.sqladmin.api import invalid

_INT, _BOOL, _STRING, _FLOAT = "INTEGER", "BOOLEAN", "STRING", "FLOAT"
# name: (type, smallest, largest)
FLAGS: dict[str, tuple[str, int | None, int | None]] = {
    "autovacuum": (_BOOL, None, None),
    "autovacuum_max_workers": (_INT, 1, 262143),
    "autovacuum_naptime": (_INT, 1, 2147483),
    "autovacuum_vacuum_cost_limit": (_INT, 0, 10000),
    "autovacuum_vacuum_scale_factor": (_FLOAT, 0, 100),
    "checkpoint_completion_target": (_FLOAT, 0, 1),
    "checkpoint_timeout": (_INT, 30, 86400),
    "cloudsql.iam_authentication": (_BOOL, None, None),
    "cloudsql.enable_pgaudit": (_BOOL, None, None),
    "cloudsql.logical_decoding": (_BOOL, None, None),
    "deadlock_timeout": (_INT, 1, 2147483647),
    "default_statistics_target": (_INT, 1, 10000),
    "default_transaction_isolation": (_STRING, None, None),
    "effective_cache_size": (_INT, 1, 2147483647),
    "effective_io_concurrency": (_INT, 0, 1000),
    "hot_standby_feedback": (_BOOL, None, None),
    "idle_in_transaction_session_timeout": (_INT, 0, 2147483647),
    "idle_session_timeout": (_INT, 0, 2147483647),
    "jit": (_BOOL, None, None),
    "lock_timeout": (_INT, 0, 2147483647),
    "log_autovacuum_min_duration": (_INT, -1, 2147483647),
    "log_checkpoints": (_BOOL, None, None),
    "log_connections": (_BOOL, None, None),
    "log_disconnections": (_BOOL, None, None),
    "log_duration": (_BOOL, None, None),
    "log_hostname": (_BOOL, None, None),
    "log_lock_waits": (_BOOL, None, None),
    "log_min_duration_statement": (_INT, -1, 2147483647),
    "log_min_messages": (_STRING, None, None),
    "log_statement": (_STRING, None, None),
    "log_temp_files": (_INT, -1, 2147483647),
    "maintenance_work_mem": (_INT, 1024, 2147483647),
    "max_connections": (_INT, 14, 262143),
    "max_locks_per_transaction": (_INT, 10, 2147483647),
    "max_parallel_workers": (_INT, 0, 1024),
    "max_parallel_workers_per_gather": (_INT, 0, 1024),
    "max_prepared_transactions": (_INT, 0, 262143),
    "max_replication_slots": (_INT, 10, 262143),
    "max_wal_senders": (_INT, 10, 262143),
    "max_wal_size": (_INT, 2, 2147483647),
    "max_worker_processes": (_INT, 8, 262143),
    "random_page_cost": (_FLOAT, 0, 2147483647),
    "shared_buffers": (_INT, 16, 1073741823),
    "statement_timeout": (_INT, 0, 2147483647),
    "synchronous_commit": (_STRING, None, None),
    "tcp_keepalives_idle": (_INT, 0, 2147483647),
    "temp_file_limit": (_INT, 1048576, 2147483647),
    "timezone": (_STRING, None, None),
    "track_activity_query_size": (_INT, 100, 1048576),
    "track_io_timing": (_BOOL, None, None),
    "wal_compression": (_BOOL, None, None),
    "work_mem": (_INT, 64, 2147483647),
}


def check_flags(flags: list[Json]) -> None:
    """Raise 400 for an unknown flag or an invalid value."""
    seen = set()
    for flag in flags:
        name, value = str(flag.get("name") or ""), str(flag.get("value") or "")
        if name not in FLAGS:
            raise invalid(f"Invalid request: Invalid flag name ({name}).", "invalidFlagName")
        if name in seen:
            raise invalid(f"Invalid request: Duplicate flag ({name}).")
        seen.add(name)
        kind, low, high = FLAGS[name]
        good = bool(
            re.fullmatch({_INT: r"-?\d+", _BOOL: r"on|off", _FLOAT: r"\d+(\.\d+)?", _STRING: r"[^\n]+"}[kind], value)
        )
        if good and kind in (_INT, _FLOAT):
            good = (low is None or float(value) >= low) and (high is None or float(value) <= high)
        if not good:
            raise invalid(f"Invalid request: Invalid flag value ({value}) for flag ({name}).", "invalidFlagValue")
