# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The server under test as people reach it; for the tests of every scenario."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

# Asks the machine what switch.py knows.
Status = Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Server:
    """The server as people reach it."""

    address: str
    ca: Path
    password: str

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"https://{self.address}"

    def ask(self, method: str, path: str, *, signed_in: bool = False, **options: object) -> requests.Response:
        """Send one request, with the CA checked and no redirect followed."""
        auth = ("admin", self.password) if signed_in else None
        return requests.request(
            method,
            self.url + path,
            auth=auth,
            verify=str(self.ca),
            timeout=60,
            allow_redirects=False,
            **options,  # type: ignore[arg-type]
        )
