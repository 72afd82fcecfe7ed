# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""HTTP requests to one deployment, as its clients send them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .remedies import CONFIGURE, LOGS, SITE
from .results import NotCheckedError, one_line

try:
    import requests

    IMPORT_ERROR: str | None = None
except ImportError as error:  # reported by the module
    IMPORT_ERROR = str(error)

if TYPE_CHECKING:
    from requests import Response, Session

Json = dict[str, Any]
CONNECT_SECONDS = 10.0
RESPONSE_SECONDS = 60.0


def new_session() -> Session:
    """Return a new session. A function, because requests may not be installed when this file is imported."""
    return requests.Session()


@dataclass
class Endpoint:
    """One deployment from the point of view of its clients.

    ``source`` is the source of the certificate: the own CA (``ca``), ``files`` or an ACME directory (``acme``).
    ``host`` is the DNS name or address of the clients, ``address`` the static address, ``ca_file`` the path of the CA
    certificates to trust, the own CA first (empty: the CAs of the control node), and ``password`` the administrator's
    password. An error as ``address`` or ``password`` means that the value is unknown.
    """

    host: str
    address: str | Exception
    ca_file: str
    username: str
    password: str | Exception
    session: Session = field(default_factory=new_session)
    now: Callable[[], float] = time.time
    port: int = 443
    source: str = "ca"

    def __post_init__(self) -> None:
        # Ignore the control node's proxy and .netrc, because they are not part of the deployment.
        self.session.trust_env = False
        self.session.verify = self.trusted

    @property
    def trusted(self) -> str:
        """Return the file or directory of the trusted CAs: the deployment's own, or the default of MLflow's client."""
        return self.ca_file or os.environ.get("REQUESTS_CA_BUNDLE") or requests.utils.DEFAULT_CA_BUNDLE_PATH

    @property
    def url(self) -> str:
        """Return the URL of MLflow."""
        return f"https://{self.target}"

    @property
    def target(self) -> str:
        """Return the DNS name or address that clients use."""
        if self.host:
            return self.host
        if isinstance(self.address, Exception):
            raise NotCheckedError(f"the static address is unknown: {one_line(self.address)}")
        return self.address

    def request(self, method: str, path: str, *, authenticated: bool = True, **options: Any) -> Response:
        """Send one request to the server. Raise NotCheckedError if there is no response."""
        if authenticated:
            if isinstance(self.password, Exception):
                raise NotCheckedError(f"the administrator's password cannot be read: {one_line(self.password)}", SITE)
            options["auth"] = (self.username, self.password)
        options.setdefault("timeout", (CONNECT_SECONDS, RESPONSE_SECONDS))
        try:
            return self.session.request(method, self.url + path, allow_redirects=False, **options)
        except requests.exceptions.SSLError as error:
            raise NotCheckedError(f"TLS: {one_line(error, 160)}", "see the check certificate") from error
        except requests.exceptions.RequestException as error:
            raise NotCheckedError(f"{type(error).__name__}: {one_line(error, 200)}", LOGS) from error

    def call(self, method: str, path: str, **options: Any) -> Json:
        """Send a request to MLflow's REST API. Raise NotCheckedError unless it succeeds."""
        response = self.request(method, f"/api/2.0/mlflow/{path}", **options)
        require_success(response, f"{method} {path}")
        document: Json = response.json() if response.content else {}
        return document


def succeeded(response: Response) -> bool:
    """Return whether the request succeeded. A redirect, for example to another login page, is no success."""
    return 200 <= response.status_code < 300


def require_success(response: Response, request: str) -> None:
    """Raise NotCheckedError with a remedy unless the request succeeded."""
    if succeeded(response):
        return
    remedy = LOGS
    if response.status_code == 503 and "Retry-After" in response.headers:
        remedy = "the server is starting or in maintenance mode; wait, then see the check server"
    elif response.status_code == 401:
        remedy = f"the server and Secret Manager have different passwords: {CONFIGURE}"
    raise NotCheckedError(f"{request}: HTTP {response.status_code}: {one_line(response.text, 160)}", remedy)
