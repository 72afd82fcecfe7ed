# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check that an artifact can be uploaded and downloaded, and how fast."""

from __future__ import annotations

import io
import os
import time
from urllib.parse import quote

from .endpoint import CONNECT_SECONDS, Endpoint, require_success, succeeded
from .remedies import LOGS
from .results import CheckResult, fail, ok, one_line, warn
from .run import TemporaryRun

ARTIFACT = "doctor.bin"  # name of the doctor's artifact
TRANSFER_SECONDS = 900.0  # maximum pause of a transfer; the server stores an upload before it responds
MEGABYTE = 1_000_000
BLOCK = 1 << 20  # bytes that are read, generated and compared at once


class Noise(io.RawIOBase):
    """A stream of random bytes that cannot be compressed. Streams with the same seed are equal.

    http.client reads 16 KiB at a time. A read must cost almost nothing, or the check measures the doctor itself.
    """

    def __init__(self, size: int, seed: bytes) -> None:
        self.size, self.position = size, 0
        self._seed, self._block = seed, seed

    def __len__(self) -> int:
        return self.size

    def readable(self) -> bool:
        """Return that the stream is readable."""
        return True

    def tell(self) -> int:
        """Return the position. requests needs it to send the length."""
        return self.position

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        left = self.size - self.position
        missing = left if size is None or size < 0 else min(size, left)
        pieces = []
        while missing > 0:
            number, offset = divmod(self.position, len(self._seed))
            if offset == 0:
                # Each block begins with its number, so that all blocks differ.
                self._block = number.to_bytes(8, "big") + self._seed[8:]
            piece = self._block[offset : offset + missing]
            pieces.append(piece)
            self.position += len(piece)
            missing -= len(piece)
        return b"".join(pieces)


def artifact(endpoint: Endpoint, made: TemporaryRun, megabytes: int) -> CheckResult:
    """Upload, download, compare and delete an artifact, streamed both ways."""
    if not made.artifact_uri.startswith("mlflow-artifacts:"):
        return warn(
            "artifact",
            f"clients access the artifacts of experiment {made.experiment_id} without the server:"
            f" {one_line(made.artifact_uri, 100)}",
            "create experiments whose artifacts go through the server; existing experiments keep their location",
        )
    folder = made.artifact_uri.partition(":")[2].lstrip("/")
    path = f"/api/2.0/mlflow-artifacts/artifacts/{quote(folder)}/{ARTIFACT}"
    timeout = (CONNECT_SECONDS, TRANSFER_SECONDS)
    seed = os.urandom(BLOCK)
    sent, expected = (Noise(megabytes * MEGABYTE, seed) for _copy in range(2))
    uploaded = False
    try:
        begin = time.monotonic()
        headers = {"Content-Type": "application/octet-stream"}
        response = endpoint.request("PUT", path, data=sent, headers=headers, timeout=timeout)
        up = time.monotonic() - begin
        require_success(response, f"upload of {megabytes} MB")
        uploaded = True
        begin = time.monotonic()
        size, equal = 0, True
        with endpoint.request("GET", path, stream=True, timeout=timeout) as response:
            require_success(response, "download")
            for block in response.iter_content(BLOCK):
                equal = block == expected.read(len(block)) and equal
                size += len(block)
        down = time.monotonic() - begin
    finally:
        deletion = endpoint.request("DELETE", path) if uploaded else None
    if size != sent.size or not equal:
        return fail("artifact", f"{sent.size} bytes uploaded, {size} different bytes downloaded", LOGS)
    if deletion is None or not succeeded(deletion):
        return warn("artifact", f"{path} cannot be deleted", LOGS)
    rates = f"{megabytes / max(up, 1e-6):.0f} MB/s up, {megabytes / max(down, 1e-6):.0f} MB/s down"
    return ok("artifact", f"{megabytes} MB, content equal, {rates}")
