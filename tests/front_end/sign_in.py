# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The steps of a browser that signs in."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from tests.front_end.client import NAME, Answer, cookie
from tests.front_end.site import Site

# Headers of a browser that opens a page, and of a browser that returns from the identity provider.
NAVIGATION = [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"), ("Sec-Fetch-Mode", "navigate")]
FROM_PROVIDER = [*NAVIGATION, ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Dest", "document")]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def log_in(url: str, email: str) -> str:
    """Log in at the identity provider. Return the URL to which the browser goes, or an empty string."""
    # The local provider must not be reached through a proxy.
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))
    parts = urlsplit(url)
    form = urlencode([*parse_qsl(parts.query), ("email", email)]).encode()
    try:
        opener.open(f"{parts.scheme}://{parts.netloc}/login", form, timeout=10)
    except urllib.error.HTTPError as answer:
        return answer.headers.get("Location", "")
    return ""


class Browser:
    """A browser without JavaScript: it keeps cookies."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.cookies: dict[str, str] = {}

    def open(self, path: str, headers: list[tuple[str, str]] = NAVIGATION) -> Answer:
        """Open a page, and keep the cookies that it sets."""
        sent = [*headers, cookie(self.cookies.items())] if self.cookies else headers
        answer = self._site.client.ask(path, sent)
        self.cookies |= answer.cookies
        return answer

    def callback(self, email: str, target: str = "/") -> str:
        """Start to sign in and log in at the provider. Return the path of the callback."""
        start = self.open(f"/oauth2/start?rd={quote(target, safe='')}")
        assert start.status == 302, start.text
        url = log_in(start.headers["Location"], email)
        assert url.startswith(f"https://{NAME}/oauth2/callback?"), url
        return url.removeprefix(f"https://{NAME}")

    def sign_in(self, email: str, target: str = "/") -> Answer:
        """Sign in. Return the response of the callback."""
        return self.open(self.callback(email, target), FROM_PROVIDER)
