# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""HTTPS client of the server under test, for the tests of all scenarios."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

# Runs `mlflowctl status` on the container.
Status = Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Server:
    """The server at its public address."""

    address: str
    ca: Path
    password: str

    @property
    def url(self) -> str:
        """Base URL of the server."""
        return f"https://{self.address}"

    def ask(self, method: str, path: str, *, signed_in: bool = False, **options: object) -> requests.Response:
        """Send a request, verify the certificate, and do not follow redirects."""
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
