# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Exit codes of mlflowctl, and the error that ends a command."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of all commands. argparse uses 2."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    BUSY = 4
    TIMEOUT = 5


class FailedError(Exception):
    """A failure with a message for the operator, without secrets. `code` is the exit code of the command."""

    def __init__(self, message: str, code: int = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.code = int(code)


def one_line(error: BaseException) -> str:
    """Return the message of an error. Further lines of the driver's messages name hosts and addresses."""
    cause = getattr(error, "orig", None) or error
    lines = str(cause).strip().splitlines() or [""]
    return lines[0][:500] if isinstance(cause, FailedError) else f"{type(cause).__name__}: {lines[0][:500]}"
