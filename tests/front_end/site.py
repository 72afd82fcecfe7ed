# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A front end of an authentication mode: the files of the roles, rendered, in front of a stand-in for MLflow."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _oauth2_proxy_configuration as configuration
from ansible_collections.mlops.mlflow_gcp.plugins.modules import mlflow_front_end_secret
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._authentication import AUTHENTICATIONS

from tests.front_end import programs
from tests.front_end.certificate import write_certificate
from tests.front_end.client import NAME, Client
from tests.front_end.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider
from tests.front_end.mlflow_stand_in import MlflowStandIn

ROLES = programs.REPOSITORY / "roles"
OAUTH2_PROXY = "authentication_oauth2_proxy"
FILES = ("http", "server", "gateway", "required")
EXTRA_AUDIENCE = "desktop-client"
SERVICE_ACCOUNTS = "my-project.iam.gserviceaccount.com"
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


def rendered_text(text: str, *variables: dict[str, Any]) -> str:
    """Return the text of a template. Earlier variables have precedence."""
    merged = {name: value for each in reversed(variables) for name, value in each.items()}
    return str(Templar(DataLoader(), variables=merged).template(text, escape_backslashes=False))


def rendered(path: Path, *variables: dict[str, Any]) -> str:
    """Return a template as the module ansible.builtin.template writes it."""
    return rendered_text(trust_as_template(path.read_text(encoding="utf-8")), *variables)


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

    def __init__(self, root: Path, provider: IdentityProvider, *, role: str, secret: str = "", **settings: Any) -> None:
        self.root, self.provider = root, provider
        self.port, self.http_port = programs.free_port(), programs.free_port()
        self.secret = secret or secrets.token_hex(mlflow_front_end_secret.BYTES)
        self.mlflow = MlflowStandIn(root / "mlflow.sock", self.secret)
        self._oauth2_proxy = root / "oauth2-proxy.sock"
        write_certificate(root / "server.pem", NAME)
        self.client = Client(self.port, root / "server.pem")
        self._settings = settings
        self._write_nginx(role)
        self._provider, self._mlflow = ExitStack(), ExitStack()

    def _write_nginx(self, role: str) -> None:
        mode = next(each for each in AUTHENTICATIONS.values() if each.role == role)
        snippets, conf = self.root / "snippets", self.root / "conf.d"
        snippets.mkdir(exist_ok=True)
        conf.mkdir(exist_ok=True)
        given = {
            "ansible_managed": "Rendered by a test.",
            "ansible_facts": programs.nginx_facts(),
            "nginx_hostnames": [NAME],
            "nginx_certificate_source": "credential",
            "nginx_certificate_credential": str(self.root / "server.pem"),
            "nginx_upstream_socket": str(self.root / "mlflow.sock"),
            "nginx_authentication": mode.name,
        } | self._settings
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
            # So that the test of a hanging service is short.
            "proxy_read_timeout 15s": "proxy_read_timeout 1s",
            "listen 80": f"listen 127.0.0.1:{self.http_port}",
            "listen 443": f"listen 127.0.0.1:{self.port}",
        }
        for old, new in moves.items():
            text = text.replace(old, new)
        return text

    def _write_oauth2_proxy(self) -> None:
        credentials = self.root / "credentials"
        credentials.mkdir(exist_ok=True)
        (credentials / "oauth2-proxy.oauth2-proxy-client-secret").write_text(CLIENT_SECRET)
        (credentials / "oauth2-proxy.oauth2-proxy-cookie-secret").write_text(secrets.token_hex(16))
        discovered = self.provider.discovery()
        settings = {
            "hostname": NAME,
            "issuer": self.provider.issuer,
            "client_id": CLIENT_ID,
            "prompt": "",
            "scopes": ["openid", "email", "profile"],
            "groups_claim": "groups",
            "extra_audiences": [EXTRA_AUDIENCE],
            "accept_gcloud_audience": self._settings.get(f"{OAUTH2_PROXY}_accept_gcloud_audience", False),
            "session_hours": 12,
            "domains": ["example.com"],
            "admins": [],
            "service_accounts": [f"@{SERVICE_ACCOUNTS}"],
            "provider": discovered | {"algorithms": discovered["id_token_signing_alg_values_supported"]},
        }
        for name, text in configuration.files(settings).items():
            (self.root / name).write_text(text.replace("/etc/oauth2-proxy", str(self.root)))

    @contextmanager
    def run_nginx(self) -> Iterator[None]:
        """Run nginx."""
        command = [str(programs.nginx()), "-p", str(self.root), "-c", str(self.root / "nginx.conf")]
        command += ["-e", str(self.root / "error.log")]
        with programs.running(command, self.root / "nginx.log", lambda: programs.accepts(self.port)) as process:
            self._nginx = process
            yield

    def change_mode(self, role: str) -> None:
        """Install the files of another role and reload nginx, as the role nginx does. Wait for the new worker."""
        self._write_nginx(role)
        self._nginx.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + programs.START_SECONDS
        # Only one of the modes has this page.
        while (self.client.ask("/signed-out").status == 200) != (role == OAUTH2_PROXY):
            assert time.monotonic() < deadline, self.log("error.log")[-2000:]
            time.sleep(0.02)

    @contextmanager
    def run_oauth2_proxy(self) -> Iterator[None]:
        """Run OAuth2-Proxy with a socket of its own, as the unit of the role does."""
        variables = role_variables(OAUTH2_PROXY)
        cache = rendered_text(variables["authentication_oauth2_proxy_cache_directory"], variables)
        program = programs.oauth2_proxy(
            ROLES / OAUTH2_PROXY, variables["authentication_oauth2_proxy_version"], Path(cache).expanduser()
        )
        credentials = self.root / "credentials"
        command = [str(program), f"--config={self.root / 'oauth2-proxy.cfg'}"]
        command += [f"--alpha-config={self.root / 'oauth2-proxy.yaml'}"]
        command += [f"--cookie-secret-file={credentials / 'oauth2-proxy.oauth2-proxy-cookie-secret'}"]
        log = self.root / "oauth2-proxy.log"
        with (
            programs.listening(self._oauth2_proxy) as listener,
            programs.running(
                programs.activated(command, listener),
                log,
                lambda: programs.answers(self._oauth2_proxy),
                environment={"CREDENTIALS_DIRECTORY": str(credentials)},
                descriptors=[listener.fileno()],
            ),
        ):
            yield

    @contextmanager
    def oauth2_proxy_hangs(self) -> Iterator[None]:
        """Accept connections to OAuth2-Proxy and never answer, as systemd does while the service fails to start."""
        with programs.listening(self._oauth2_proxy):
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


@contextmanager
def short_directory() -> Iterator[Path]:
    """Yield a directory with a short path: the path of a Unix socket has at most 107 characters."""
    path = Path(tempfile.mkdtemp(prefix="mlflow-front-end-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def site(role: str, *, secret: str = "", provider: IdentityProvider | None = None, **settings: Any) -> Iterator[Site]:
    """Yield a running front end with the nginx files of a role, without OAuth2-Proxy."""
    with short_directory() as root:
        made = Site(root, provider or IdentityProvider(), role=role, secret=secret, **settings)
        with made.run():
            yield made
