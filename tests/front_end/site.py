# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A front end of an authentication mode: the files of the roles, rendered, in front of a stand-in for MLflow."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.mlops.mlflow_gcp.plugins.modules import mlflow_front_end_secret

from tests.front_end import programs
from tests.front_end.certificate import write_certificate
from tests.front_end.client import NAME, Client
from tests.front_end.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider
from tests.front_end.mlflow_stand_in import MlflowStandIn

ROLES = programs.REPOSITORY / "roles"
FILES = ("http", "server", "gateway", "required")
EXTRA_AUDIENCE = f"https://{NAME}"
SERVICE_ACCOUNTS = "my-project.iam.gserviceaccount.com"
UNAUTHENTICATED = "Sign in, or send an ID token or the name and the password of an MLflow user."
# Debian's nginx.conf, without the parts that need root.
MAIN = """
{user}daemon off;
worker_processes 1;
pid {root}/nginx.pid;
error_log {root}/error.log notice;
events {{ worker_connections 256; }}
http {{
    access_log {root}/access.log;
    client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;
    fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
    types {{ text/html html; }}
    default_type application/octet-stream;
    include {root}/conf.d/*.conf;
}}
"""


def rendered(path: Path, *variables: dict[str, Any]) -> str:
    """Return a template as the module ansible.builtin.template writes it."""
    merged = {name: value for each in reversed(variables) for name, value in each.items()}
    template = trust_as_template(path.read_text(encoding="utf-8"))
    return str(Templar(DataLoader(), variables=merged).template(template, escape_backslashes=False))


def role_variables(role: str) -> dict[str, Any]:
    """Return the defaults and the internal variables of a role."""
    found: dict[str, Any] = {}
    for name in ("defaults", "vars"):
        path = ROLES / role / name / "main.yml"
        if path.exists():
            found |= DataLoader().load_from_file(str(path), trusted_as_template=True)
    return found


class Site:
    """The files and sockets of a front end."""

    def __init__(self, root: Path, provider: IdentityProvider, *, role: str, **settings: Any) -> None:
        self.root, self.provider = root, provider
        self.port, self._http_port = programs.free_port(), programs.free_port()
        self.secret = secrets.token_hex(mlflow_front_end_secret.BYTES)
        self.mlflow = MlflowStandIn(root / "mlflow.sock", self.secret)
        self._oauth2_proxy = root / "oauth2-proxy.sock"
        write_certificate(root / "server.pem", NAME)
        self.client = Client(self.port, root / "server.pem")
        self._write_nginx(role, settings)
        self._provider, self._mlflow = ExitStack(), ExitStack()

    def _write_nginx(self, role: str, settings: dict[str, Any]) -> None:
        snippets, conf = self.root / "snippets", self.root / "conf.d"
        snippets.mkdir()
        conf.mkdir()
        given = {
            "ansible_managed": "Rendered by a test.",
            "ansible_facts": {"distribution": "Debian", "distribution_major_version": "12"},
            "nginx_hostnames": [NAME],
            "nginx_certificate_source": "credential",
            "nginx_certificate_credential": str(self.root / "server.pem"),
            "nginx_upstream_socket": str(self.root / "mlflow.sock"),
            "__nginx_authentication": {"unauthenticated_message": UNAUTHENTICATED},
            "authentication_oauth2_proxy_require_verified_email": True,
        } | settings
        for name in FILES:
            text = rendered(ROLES / role / "templates" / f"{name}.conf.j2", given, role_variables(role))
            (snippets / f"mlflow-authentication-{name}.conf").write_text(self._moved(text))
        site = rendered(ROLES / "nginx" / "templates" / "mlflow.conf.j2", given, role_variables("nginx"))
        (conf / "mlflow.conf").write_text(self._moved(site))
        secret = mlflow_front_end_secret.configuration(self.secret)
        (snippets / "mlflow-front-end-secret.conf").write_text(secret)
        # The workers of a server that root starts have another user, who has no access to temporary directories.
        user = "user root root;\n" if os.geteuid() == 0 else ""
        (self.root / "nginx.conf").write_text(MAIN.format(root=self.root, user=user))

    def _moved(self, text: str) -> str:
        """Return a configuration with the paths and ports of the test."""
        moves = {
            "/etc/nginx/snippets/": f"{self.root}/snippets/",
            "/run/oauth2-proxy/oauth2-proxy.sock": str(self._oauth2_proxy),
            "listen 80": f"listen 127.0.0.1:{self._http_port}",
            "listen 443": f"listen 127.0.0.1:{self.port}",
        }
        for old, new in moves.items():
            text = text.replace(old, new)
        return text

    def _write_oauth2_proxy(self) -> None:
        (self.root / "client-secret").write_text(CLIENT_SECRET)
        (self.root / "cookie-secret").write_text(secrets.token_hex(16))
        core = {
            "reverse_proxy": True,
            "redirect_url": f"https://{NAME}/oauth2/callback",
            "email_domains": ["example.com", SERVICE_ACCOUNTS],
            "skip_jwt_bearer_tokens": True,
            "skip_provider_button": False,
            "cookie_name": "__Host-mlflow",
            "cookie_secret_file": str(self.root / "cookie-secret"),
            "cookie_expire": "12h",
            "cookie_secure": True,
            "cookie_samesite": "lax",
            "session_cookie_minimal": True,
            "request_logging": False,
        }
        lines = [f"{name} = {_toml(value)}" for name, value in core.items()]
        (self.root / "oauth2-proxy.cfg").write_text("\n".join(lines) + "\n")
        (self.root / "oauth2-proxy.yaml").write_text(yaml.safe_dump(self._structured()))

    def _structured(self) -> dict[str, Any]:
        claims = {"Email": "email", "Groups": "groups", "Hosted-Domain": "hd", "Email-Verified": "email_verified"}
        headers = [
            {"name": f"X-Auth-Request-{name}", "values": [{"claimSource": {"claim": claim}}]}
            for name, claim in claims.items()
        ]
        provider = {
            "id": "oidc",
            "provider": "oidc",
            "name": "the test provider",
            "clientID": CLIENT_ID,
            "clientSecretFile": str(self.root / "client-secret"),
            "scope": "openid email profile",
            "code_challenge_method": "S256",
            "skipClaimsFromProfileURL": True,
            "additionalClaims": ["hd", "email_verified"],
            "loginURLParameters": [{"name": "prompt", "default": ["select_account"]}],
            "oidcConfig": {
                "issuerURL": self.provider.issuer,
                "emailClaim": "email",
                "groupsClaim": "groups",
                "audienceClaims": ["aud"],
                "extraAudiences": [EXTRA_AUDIENCE],
                "insecureSkipNonce": False,
            },
        }
        return {
            "server": {"bindAddress": f"unix://{self._oauth2_proxy}"},
            "upstreamConfig": {"upstreams": [{"id": "none", "path": "/", "static": True, "staticCode": 404}]},
            "injectResponseHeaders": headers,
            "providers": [provider],
        }

    @contextmanager
    def run_nginx(self) -> Iterator[None]:
        """Run nginx."""
        command = [str(programs.nginx()), "-p", str(self.root), "-c", str(self.root / "nginx.conf")]
        command += ["-e", str(self.root / "error.log")]
        with programs.running(command, self.root / "nginx.log", lambda: programs.accepts(self.port)):
            yield

    @contextmanager
    def run_oauth2_proxy(self) -> Iterator[None]:
        """Run OAuth2-Proxy."""
        self._oauth2_proxy.unlink(missing_ok=True)
        command = [str(programs.oauth2_proxy()), f"--config={self.root / 'oauth2-proxy.cfg'}"]
        command.append(f"--alpha-config={self.root / 'oauth2-proxy.yaml'}")
        with programs.running(command, self.root / "oauth2-proxy.log", lambda: programs.accepts(self._oauth2_proxy)):
            yield

    @contextmanager
    def provider_away(self) -> Iterator[None]:
        """Stop the identity provider during the block."""
        self._provider.close()
        yield
        self._provider.enter_context(self.provider.serve())

    @contextmanager
    def mlflow_away(self) -> Iterator[None]:
        """Stop MLflow during the block."""
        self._mlflow.close()
        yield
        self._mlflow.enter_context(self.mlflow.serve())

    @contextmanager
    def run(self) -> Iterator[None]:
        """Run everything besides OAuth2-Proxy."""
        with self._provider, self._mlflow:
            self._provider.enter_context(self.provider.serve())
            self._write_oauth2_proxy()
            self._mlflow.enter_context(self.mlflow.serve())
            with self.run_nginx():
                yield

    def log(self, name: str) -> str:
        """Return the log of a program."""
        return (self.root / name).read_text(errors="replace")


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).replace("'", '"') if isinstance(value, list) else f'"{value}"'


@contextmanager
def short_directory() -> Iterator[Path]:
    """Yield a directory with a short path: the path of a Unix socket has at most 107 characters."""
    path = Path(tempfile.mkdtemp(prefix="mlflow-front-end-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def site(role: str, **settings: Any) -> Iterator[Site]:
    """Yield a running front end with the nginx files of a role, without OAuth2-Proxy."""
    with short_directory() as root:
        made = Site(root, IdentityProvider(), role=role, **settings)
        with made.run():
            yield made
