# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The database flags of Cloud SQL for PostgreSQL that the local cloud accepts."""

from __future__ import annotations

import re

from localcloud.framework.service import Json
from localcloud.services.sqladmin.api import invalid

_INT, _BOOL, _STRING, _FLOAT = "INTEGER", "BOOLEAN", "STRING", "FLOAT"
# name: (type, smallest, largest, whether a change restarts the server)
FLAGS: dict[str, tuple[str, int | None, int | None, bool]] = {
    "autovacuum": (_BOOL, None, None, False),
    "autovacuum_max_workers": (_INT, 1, 262143, True),
    "autovacuum_naptime": (_INT, 1, 2147483, False),
    "autovacuum_vacuum_cost_limit": (_INT, 0, 10000, False),
    "autovacuum_vacuum_scale_factor": (_FLOAT, 0, 100, False),
    "checkpoint_completion_target": (_FLOAT, 0, 1, False),
    "checkpoint_timeout": (_INT, 30, 86400, False),
    "cloudsql.iam_authentication": (_BOOL, None, None, False),
    "cloudsql.enable_pgaudit": (_BOOL, None, None, True),
    "cloudsql.logical_decoding": (_BOOL, None, None, True),
    "deadlock_timeout": (_INT, 1, 2147483647, False),
    "default_statistics_target": (_INT, 1, 10000, False),
    "default_transaction_isolation": (_STRING, None, None, False),
    "effective_cache_size": (_INT, 1, 2147483647, False),
    "effective_io_concurrency": (_INT, 0, 1000, False),
    "hot_standby_feedback": (_BOOL, None, None, False),
    "idle_in_transaction_session_timeout": (_INT, 0, 2147483647, False),
    "idle_session_timeout": (_INT, 0, 2147483647, False),
    "jit": (_BOOL, None, None, False),
    "lock_timeout": (_INT, 0, 2147483647, False),
    "log_autovacuum_min_duration": (_INT, -1, 2147483647, False),
    "log_checkpoints": (_BOOL, None, None, False),
    "log_connections": (_BOOL, None, None, False),
    "log_disconnections": (_BOOL, None, None, False),
    "log_duration": (_BOOL, None, None, False),
    "log_hostname": (_BOOL, None, None, False),
    "log_lock_waits": (_BOOL, None, None, False),
    "log_min_duration_statement": (_INT, -1, 2147483647, False),
    "log_min_messages": (_STRING, None, None, False),
    "log_statement": (_STRING, None, None, False),
    "log_temp_files": (_INT, -1, 2147483647, False),
    "maintenance_work_mem": (_INT, 1024, 2147483647, False),
    "max_connections": (_INT, 14, 262143, True),
    "max_locks_per_transaction": (_INT, 10, 2147483647, True),
    "max_parallel_workers": (_INT, 0, 1024, False),
    "max_parallel_workers_per_gather": (_INT, 0, 1024, False),
    "max_prepared_transactions": (_INT, 0, 262143, True),
    "max_replication_slots": (_INT, 10, 262143, True),
    "max_wal_senders": (_INT, 10, 262143, True),
    "max_wal_size": (_INT, 2, 2147483647, False),
    "max_worker_processes": (_INT, 8, 262143, True),
    "random_page_cost": (_FLOAT, 0, 2147483647, False),
    "shared_buffers": (_INT, 16, 1073741823, True),
    "statement_timeout": (_INT, 0, 2147483647, False),
    "synchronous_commit": (_STRING, None, None, False),
    "tcp_keepalives_idle": (_INT, 0, 2147483647, False),
    "temp_file_limit": (_INT, 1048576, 2147483647, False),
    "timezone": (_STRING, None, None, False),
    "track_activity_query_size": (_INT, 100, 1048576, True),
    "track_io_timing": (_BOOL, None, None, False),
    "wal_compression": (_BOOL, None, None, False),
    "work_mem": (_INT, 64, 2147483647, False),
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
        kind, low, high, _ = FLAGS[name]
        good = bool(
            re.fullmatch({_INT: r"-?\d+", _BOOL: r"on|off", _FLOAT: r"\d+(\.\d+)?", _STRING: r"[^\n]+"}[kind], value)
        )
        if good and kind in (_INT, _FLOAT):
            good = (low is None or float(value) >= low) and (high is None or float(value) <= high)
        if not good:
            raise invalid(f"Invalid request: Invalid flag value ({value}) for flag ({name}).", "invalidFlagValue")
