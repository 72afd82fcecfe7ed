# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""CRC-32C (Castagnoli, RFC 3720), with which Secret Manager guards payloads. Python has CRC-32 only."""

from __future__ import annotations


def _table() -> tuple[int, ...]:
    entries = list(range(256))
    for _bit in range(8):
        entries = [value >> 1 ^ (0x82F63B78 if value & 1 else 0) for value in entries]
    return tuple(entries)


_TABLE = _table()


def crc32c(data: bytes, before: int = 0) -> int:
    """Return the checksum of ``data``, or of ``data`` after what has ``before``; 64 KiB take some ten milliseconds."""
    checksum = before ^ 0xFFFFFFFF
    for byte in data:
        checksum = checksum >> 8 ^ _TABLE[(checksum ^ byte) & 0xFF]
    return checksum ^ 0xFFFFFFFF
