# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The pages of the stand-in for accounts.google.com. They work without JavaScript and with the keyboard alone."""

from __future__ import annotations

import base64
import hashlib
from html import escape

from starlette.responses import HTMLResponse, Response

from localcloud.access.grants import OAuthError
from localcloud.access.oauth_clients import OAuthClient
from localcloud.access.users import User

_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0; color: #1a1a1a; background: #fff; }
.notice { background: #7a1f00; color: #fff; margin: 0; padding: .75rem 1rem; font-weight: 600; text-align: center; }
main { max-width: 32rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
ul { list-style: none; padding: 0; }
li { margin: .5rem 0; }
button { font: inherit; width: 100%; padding: .75rem 1rem; text-align: left; color: inherit; background: #fff; }
button { border: 1px solid #5f6368; border-radius: .5rem; cursor: pointer; }
button:hover { background: #f1f3f4; }
button:focus-visible { outline: 3px solid #0b57d0; outline-offset: 2px; }
.about { display: block; color: #444746; }
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
NOTICE = (
    "This is not Google. This page is a stand-in of the local cloud with test accounts. Never enter a password here."
)


def accounts_page(client: OAuthClient, users: list[User], parameters: dict[str, str], hint: str) -> Response:
    """Return the page with the accounts. The hinted account is the first one and has the focus."""
    hinted = [user for user in users if hint and hint.lower() in (user.email, user.id)]
    ordered = [*hinted, *(user for user in users if user not in hinted)]
    buttons = "".join(_button(user, focus=user in hinted) for user in ordered)
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">\n' for name, value in parameters.items()
    )
    domain = f" of the Workspace domain {escape(parameters['hd'])}" if "hd" in parameters else ""
    listed = f"<ul>\n{buttons}</ul>\n" if users else f"<p>There is no test account{domain}.</p>\n"
    body = (
        f"<h1>Choose a test account</h1>\n<p>to continue to <strong>{escape(client.name)}</strong></p>\n"
        f'<form method="post" action="?">\n{hidden}{listed}'
        '<p><button name="cancel" value="1">Cancel</button></p>\n</form>\n'
    )
    return _page("Sign in with a test account", body, 200)


def error_page(error: OAuthError) -> Response:
    """Return the page for a request whose redirect URI cannot be trusted."""
    body = (
        f"<h1>Access blocked: authorization error</h1>\n<p>{escape(error.description)}</p>\n"
        f"<p>Error {error.status}: {escape(error.error)}</p>\n"
    )
    return _page(f"Error {error.status}: {error.error}", body, error.status)


def _button(user: User, *, focus: bool) -> str:
    about = f"Google Workspace, {user.hosted_domain}" if user.hosted_domain else "Consumer account"
    about += "" if user.email_verified else ", address not verified"
    return (
        f'<li><button name="account" value="{escape(user.email)}"{" autofocus" if focus else ""}>'
        f'{escape(user.name)} <strong>{escape(user.email)}</strong> <span class="about">{escape(about)}</span>'
        "</button></li>\n"
    )


def _page(title: str, body: str, status: int) -> Response:
    text = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)} - local cloud</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<p class="notice" role="note">{NOTICE}</p>\n<main>\n{body}</main>\n</body>\n</html>\n'
    )
    return HTMLResponse(text, status, _HEADERS)
