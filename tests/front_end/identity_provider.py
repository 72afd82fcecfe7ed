# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A small OpenID Connect provider: authorization code flow with PKCE and nonce, and tokens for tests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CLIENT_ID = "mlflow-client"
CLIENT_SECRET = "a client secret that is not trimmed"
KEY_ID = "key-1"
PUBLIC_EXPONENT = 65537

# The accounts of the login page, with the claims that differ from those of `claims_of`.
ACCOUNTS: dict[str, dict[str, Any]] = {
    "alice@example.com": {"groups": ["team-a", "team-b"]},
    "bob@example.com": {},
    "boss@example.com": {},
    "unverified@example.com": {"email_verified": False},
    "eve@elsewhere.org": {"hd": "elsewhere.org"},
}


def _part(value: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


class IdentityProvider:
    """The provider. It answers on 127.0.0.1 while `serve` is active."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=PUBLIC_EXPONENT, key_size=2048)
        self._foreign_key = rsa.generate_private_key(public_exponent=PUBLIC_EXPONENT, key_size=2048)
        self._port = 0
        # The authorization requests for which a code was issued, with the address of the account.
        self._codes: dict[str, tuple[dict[str, str], str]] = {}
        self.removed: set[str] = set()

    @property
    def issuer(self) -> str:
        """Return the URL of the provider."""
        return f"http://127.0.0.1:{self._port}"

    @contextmanager
    def serve(self) -> Iterator[None]:
        """Answer requests, always on the same port."""
        provider = self

        class Handler(_Handler):
            pass

        Handler.provider = provider
        with ThreadingHTTPServer(("127.0.0.1", self._port), Handler) as server:
            self._port = server.server_address[1]
            Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            try:
                yield
            finally:
                server.shutdown()

    def claims_of(self, email: str) -> dict[str, Any]:
        """Return the claims of an account, as Google sends them."""
        now = int(time.time())
        domain = email.rpartition("@")[2]
        return {
            "iss": self.issuer,
            "sub": hashlib.sha256(email.encode()).hexdigest()[:21],
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 3600,
            "email": email,
            "email_verified": True,
            "hd": domain,
        } | ACCOUNTS.get(email, {})

    def token(self, email: str = "alice@example.com", /, **claims: Any) -> str:
        """Return an ID token. A claim with the value None is left out."""
        return jwt.encode(self._payload(email, claims), self._key, algorithm="RS256", headers={"kid": KEY_ID})

    def _payload(self, email: str, claims: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in (self.claims_of(email) | claims).items() if value is not None}

    def forged_tokens(self) -> dict[str, str]:
        """Return tokens that every server must refuse, by the attack."""
        payload = self._payload("alice@example.com", {})
        signed = self.token()
        head, body, signature = signed.split(".")
        public = self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        confused = f"{_part({'alg': 'HS256', 'typ': 'JWT', 'kid': KEY_ID})}.{_part(payload)}"
        # PyJWT refuses to use a public key as a secret.
        mac = base64.urlsafe_b64encode(hmac.digest(public, confused.encode(), "sha256")).rstrip(b"=").decode()
        boss = _part(payload | {"email": "boss@example.com"})
        past = int(time.time()) - 7200
        return {
            "expired": self.token(iat=past, exp=past + 3600),
            "other audience": self.token(aud="another-client"),
            "no audience": self.token(aud=None),
            "other issuer": self.token(iss="https://accounts.example.org"),
            "key of another provider": jwt.encode(
                payload, self._foreign_key, algorithm="RS256", headers={"kid": KEY_ID}
            ),
            "changed payload": f"{head}.{boss}.{signature}",
            "without signature": f"{head}.{body}.",
            "two parts": f"{head}.{body}",
            "alg none": f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(payload)}.",
            "alg None": f"{_part({'alg': 'None', 'typ': 'JWT'})}.{_part(payload)}.",
            "key confusion": f"{confused}.{mac}",
            "unverified address": self.token(email_verified=False),
            "refused domain": self.token("eve@elsewhere.org"),
            "no token": "not-a-token",
        }

    def keys(self) -> dict[str, Any]:
        """Return the public key in the form of a JWK set."""
        key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [key | {"kid": KEY_ID, "use": "sig", "alg": "RS256"}]}

    def discovery(self) -> dict[str, Any]:
        """Return the discovery document."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    def authorize(self, request: Mapping[str, str], email: str) -> str:
        """Return the URL to which the browser goes after the login."""
        code = secrets.token_urlsafe(16)
        self._codes[code] = dict(request), email
        return f"{request['redirect_uri']}?{urlencode({'code': code, 'state': request['state']})}"

    def redeem(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Return the response of the token endpoint. A code is valid once."""
        request, email = self._codes.pop(form.get("code", ""), ({}, ""))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if not request or challenge.rstrip(b"=").decode() != request.get("code_challenge"):
            return {"error": "invalid_grant"}
        if form.get("client_secret") != CLIENT_SECRET or form.get("redirect_uri") != request["redirect_uri"]:
            return {"error": "invalid_client"}
        token = self.token(email, nonce=request.get("nonce"))
        return {
            "access_token": secrets.token_urlsafe(16),
            "token_type": "Bearer",
            "expires_in": 3600,
            "id_token": token,
        }


class _Handler(BaseHTTPRequestHandler):
    provider: IdentityProvider

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        if url.path == "/.well-known/openid-configuration":
            self._json(self.provider.discovery())
        elif url.path == "/keys":
            self._json(self.provider.keys())
        elif url.path == "/authorize" and query.get("client_id") == CLIENT_ID:
            self._page(_login_page(query))
        else:
            self._json({"error": "not_found"}, 404)

    def do_POST(self) -> None:
        form = dict(parse_qsl(self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()))
        if self.path == "/token":
            if basic := self.headers.get("Authorization", ""):
                name, _, secret = base64.b64decode(basic.split()[1]).decode().partition(":")
                form |= dict(parse_qsl(f"client_id={name}&client_secret={secret}"))
            answer = self.provider.redeem(form)
            self._json(answer, 400 if "error" in answer else 200)
            return
        email = form.pop("email", "")
        if email not in ACCOUNTS or email in self.provider.removed:
            self._page(f"<h1>There is no account {html.escape(email)}</h1>", 403)
            return
        self.send_response(303)
        self.send_header("Location", self.provider.authorize(form, email))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _json(self, value: object, status: int = 200) -> None:
        self._send(json.dumps(value).encode(), "application/json", status)

    def _page(self, text: str, status: int = 200) -> None:
        page = f"<!doctype html><meta charset=utf-8><title>Identity provider of the tests</title>{text}"
        self._send(page.encode(), "text/html", status)

    def _send(self, body: bytes, kind: str, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _login_page(request: Mapping[str, str]) -> str:
    hidden = "".join(
        f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
        for name, value in request.items()
    )
    return (
        "<h1>Identity provider of the tests</h1>"
        f'<form method="post" action="/login">{hidden}<label>Address <input name="email"></label>'
        "<button>Continue</button></form>"
    )
