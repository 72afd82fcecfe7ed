# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""CRC-32C (Castagnoli, RFC 3720), the checksum of Secret Manager's payloads. Python provides only CRC-32."""

from __future__ import annotations


def _table() -> tuple[int, ...]:
    entries = list(range(256))
    for _bit in range(8):
        entries = [value >> 1 ^ (0x82F63B78 if value & 1 else 0) for value in entries]
    return tuple(entries)


_TABLE = _table()


def crc32c(data: bytes, before: int = 0) -> int:
    """Return the checksum of ``data``, or of earlier data (checksum ``before``) and ``data``. 64 KiB: about 10 ms."""
    checksum = before ^ 0xFFFFFFFF
    for byte in data:
        checksum = checksum >> 8 ^ _TABLE[(checksum ^ byte) & 0xFF]
    return checksum ^ 0xFFFFFFFF
