# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A small OpenID Connect provider on loopback. It signs in the user `email` without a question."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

CLIENT, SECRET = "mlflow", "secret-of-the-client"


class Provider(ThreadingHTTPServer):
    """The provider. Each code of the authorization endpoint belongs to one nonce."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server_port}"
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.email, self.groups = "ann@example.com", ["mlflow"]
        self.nonces: dict[str, str] = {}

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

    def keys(self) -> dict[str, Any]:
        """Return the public key."""
        key = json.loads(RSAAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [key | {"kid": "1", "use": "sig", "alg": "RS256"}]}

    def id_token(self, nonce: str) -> str:
        """Return an ID token of the user."""
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 600, "nonce": nonce}
        claims |= {"email": self.email, "email_verified": True, "name": "Ann", "groups": self.groups}
        return jwt.encode(claims, self.key, "RS256", headers={"kid": "1"})


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Provider

    def log_message(self, format: str, *arguments: object) -> None:
        return

    def _json(self, document: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        given = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/.well-known/openid-configuration":
            return self._json(self.server.discovery())
        if url.path == "/keys":
            return self._json(self.server.keys())
        code = f"code-{len(self.server.nonces)}"
        self.server.nonces[code] = given.get("nonce", "")
        self.send_response(302)
        self.send_header("Location", f"{given['redirect_uri']}?{urlencode({'code': code, 'state': given['state']})}")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None

    def do_POST(self) -> None:
        given = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        nonce = self.server.nonces.pop(given["code"][0], None)
        if nonce is None:
            return self._json({"error": "invalid_grant"}, 400)
        token = self.server.id_token(nonce)
        return self._json({"access_token": token, "id_token": token, "token_type": "Bearer", "expires_in": 600})


@contextmanager
def provider() -> Iterator[Provider]:
    """Run a provider."""
    with Provider() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
