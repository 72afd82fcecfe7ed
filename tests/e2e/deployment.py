# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A deployment under test: a run of site.yml in a project that no other deployment uses."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import google.auth.transport.requests
import requests
from google.oauth2 import service_account

REPO = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
# Name of the log of the first run. A test searches the log for secrets.
FIRST_RUN = "site-vvv"

CHANGED = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


def local_cloud_environment() -> dict[str, str]:
    """Return the environment of this process with the output of `make env`."""
    printed = subprocess.run(
        [sys.executable, "-m", "localcloud", "env"], cwd=REPO, check=True, capture_output=True, text=True
    ).stdout
    environment = dict(os.environ)
    for line in printed.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["export"]:
            environment.update(word.split("=", 1) for word in words[1:])
    return environment


@dataclass
class Deployment:
    """A project of the local cloud and its deployment."""

    project: str
    artifacts: Path
    settings: dict[str, Any]
    environment: dict[str, str] = field(default_factory=local_cloud_environment)
    name: str = "mlflow"
    inventory: Path | None = None
    """The inventory directory; None for the one of ansible.cfg."""

    def __post_init__(self) -> None:
        self.artifacts.mkdir(parents=True, exist_ok=True)
        self.environment |= {
            "GOOGLE_CLOUD_PROJECT": self.project,
            "CLOUDSDK_CORE_PROJECT": self.project,
            "CLOUDSDK_CONFIG": str(self.artifacts / "gcloud"),
            "MLFLOW_GCP_STATE_DIRECTORY": str(self.artifacts / "state"),
            "ANSIBLE_FORCE_COLOR": "0",
            "ANSIBLE_NOCOLOR": "1",
            "PATH": f"{BIN}:{os.environ['PATH']}",
        }
        self.state = self.artifacts / "state" / f"{self.project}-{self.name}"

    def create_project(self) -> None:
        """Create the project. Enable the APIs that need to be enabled in the project of the deployer."""
        home = f"v1/projects/{self.credentials.project_id}"
        apis = [f"{name}.googleapis.com" for name in ("cloudresourcemanager", "iam", "servicenetworking")]
        self.call("POST", "serviceusage", f"{home}/services:batchEnable", data=json.dumps({"serviceIds": apis}))
        self.call("POST", "cloudresourcemanager", "v3/projects", data=json.dumps({"projectId": self.project}))

    # Ansible

    def playbook(self, *arguments: str, check: bool = True, log: str = "playbook") -> subprocess.CompletedProcess[str]:
        """Run ansible-playbook; keep the output as an artifact."""
        inventory = ["-i", str(self.inventory)] if self.inventory else []
        command = [str(BIN / "ansible-playbook"), *inventory, *arguments, "-e", json.dumps(self.settings)]
        done = subprocess.run(
            command,
            cwd=REPO,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=1500,
        )
        (self.artifacts / f"{log}-{int(time.time())}.log").write_text(done.stdout)
        if check:
            assert done.returncode == 0, f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout[-6000:]}"
        return done

    def playbook_as_client(self, playbook: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        """Run a playbook with a hosts file that has the host name of the server. Needs root."""
        hosts = self.artifacts / "hosts"
        hosts.write_text(f"{Path('/etc/hosts').read_text()}\n{self.address} {self.settings['deployment_hostname']}\n")
        bind = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts)]
        command = [*bind, str(BIN / "ansible-playbook"), playbook, "-e", json.dumps(self.settings | variables)]
        return subprocess.run(command, cwd=REPO, env=self.environment, text=True, capture_output=True, timeout=900)

    def doctor(self, *skipped: str) -> dict[str, dict[str, Any]]:
        """Run the doctor; return the check results by name. Needs root."""
        output = self.artifacts / "doctor.json"
        given = {"doctor_format": "json", "doctor_output": str(output), "doctor_skip": list(skipped)}
        self.playbook_as_client("playbooks/doctor.yml", **given, doctor_advisories_url="")
        return {each["name"]: each for each in json.loads(output.read_text())["checks"]}

    # Google's APIs

    @cached_property
    def credentials(self) -> service_account.Credentials:
        """Return the credentials of the project's owner."""
        return service_account.Credentials.from_service_account_file(
            self.environment["GOOGLE_APPLICATION_CREDENTIALS"], scopes=SCOPES
        )

    @cached_property
    def session(self) -> requests.Session:
        return google.auth.transport.requests.AuthorizedSession(self.credentials)

    def call(self, method: str, api: str, path: str, **options: Any) -> dict[str, Any]:
        """Make a REST call. `api` is gcloud's name of the endpoint override."""
        base = self.environment[f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}"]
        answer = self.session.request(method, base + path, timeout=60, **options)
        assert answer.ok, f"{method} {base + path}: {answer.status_code} {answer.text[:2000]}"
        return dict(answer.json()) if answer.content else {}

    def secret(self, name: str) -> str:
        answer = self.call("GET", "secretmanager", f"v1/projects/{self.project}/secrets/{name}/versions/latest:access")
        return base64.b64decode(answer["payload"]["data"]).decode()

    def gcloud(self, *arguments: str) -> Any:
        """Return the JSON output of gcloud."""
        done = subprocess.run(
            ["gcloud", "--quiet", *arguments, "--format=json"],
            env=self.environment,
            text=True,
            capture_output=True,
            timeout=300,
        )
        assert done.returncode == 0, f"gcloud {shlex.join(arguments)}: {done.stderr}"
        return json.loads(done.stdout.strip() or "null")

    # Lock and records of the deployment

    def _object(self, name: str) -> str:
        record = quote(f"deployments/{self.project}/{self.name}/{name}", safe="")
        return f"b/{self.project}-{self.name}-backups/o/{record}"

    def stored(self, name: str) -> dict[str, Any] | None:
        """Return a record of the deployment, or the metadata of its lock. Return None if there is none."""
        base = self.environment["CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE"]
        query = {} if name == "lock" else {"alt": "media"}
        answer = self.session.get(base + self._object(name), params=query, timeout=60)
        assert answer.ok or answer.status_code == 404, answer.text
        found: dict[str, Any] = answer.json() if answer.ok else {}
        return (found["metadata"] if name == "lock" else found) if found else None

    def store(self, name: str, content: dict[str, Any] | None) -> None:
        """Write or delete a record of the deployment."""
        path = self._object(name)
        if content is None:
            self.call("DELETE", "storage", path)
            return
        base = self.environment["CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE"].replace("/storage/", "/upload/storage/")
        bucket, _, encoded = path.rpartition("/")
        answer = self.session.post(
            f"{base}{bucket}?uploadType=media&name={encoded}", data=json.dumps(content), timeout=60
        )
        assert answer.ok, answer.text

    # The local cloud

    def administer(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Call the administration API of the local cloud."""
        root = self.environment["CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE"].split("/compute/")[0]
        answer = requests.request(method, f"{root}/localcloud/{path}", timeout=10, **options)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:2000]}"
        return dict(answer.json())

    # The server

    @cached_property
    def address(self) -> str:
        path = f"projects/{self.project}/regions/europe-west1/addresses/{self.name}-address"
        found = self.call("GET", "compute", path)
        return str(found["address"])

    @property
    def url(self) -> str:
        return f"https://{self.address}"

    @property
    def ca(self) -> Path:
        return self.state / "ca.pem"

    @property
    def admin(self) -> tuple[str, str]:
        return ("admin", self.secret(f"{self.name}-admin-password"))

    @property
    def client_environment(self) -> dict[str, str]:
        """Return the variables of an MLflow client."""
        user, password = self.admin
        return {
            "MLFLOW_TRACKING_URI": self.url,
            "MLFLOW_TRACKING_USERNAME": user,
            "MLFLOW_TRACKING_PASSWORD": password,
            "MLFLOW_TRACKING_SERVER_CERT_PATH": str(self.ca),
        }

    def ssh(self, command: str, *, check: bool = True, given: str = "") -> str:
        """Run a command on the VM with a checked host key; return its output. `given` is the standard input."""
        done = subprocess.run(
            [
                *["ssh", "-i", str(self.state / "ssh/id_ed25519"), "-o", "StrictHostKeyChecking=yes"],
                *["-o", f"UserKnownHostsFile={self.state / 'ssh/known_hosts'}"],
                *["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", f"deployer@{self.address}", command],
            ],
            # Never share the standard input: ssh would make it non-blocking, and ansible-playbook refuses that.
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0 or not check, f"{command}: {done.stderr}"
        return done.stdout

    def wait_until_serving(self, seconds: float = 180) -> None:
        """Wait until an authenticated search succeeds; fail after `seconds`."""
        deadline = time.monotonic() + seconds
        last = "no answer"
        while time.monotonic() < deadline:
            try:
                answer = requests.post(
                    f"{self.url}/api/2.0/mlflow/experiments/search",
                    json={"max_results": 1},
                    auth=self.admin,
                    verify=str(self.ca),
                    timeout=10,
                )
                if answer.ok:
                    return
                last = f"{answer.status_code} {answer.text[:200]}"
            except requests.RequestException as error:
                last = str(error)
            time.sleep(2)
        raise AssertionError(f"{self.url} did not serve within {seconds} s: {last}")


@dataclass(frozen=True)
class FirstRun:
    """The first run of site.yml, observed before any test changes the deployment."""

    output: str
    started: list[str]
    """For each of the two slots, the time at which it became active. "0" is a slot that was never active."""


def changes(output: str) -> dict[str, int]:
    """Return the number of changed tasks of each host in a play recap."""
    return {host: int(changed) for host, _ok, changed, _unreachable, _failed in CHANGED.findall(output)}
