#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: oauth2_proxy_info
short_description: Facts of OAuth2-Proxy on a VM
version_added: 0.1.0
description:
  - Reads the state of the units, the version, the configuration and the provider. Returns no secret.
  - An error in one part is the result of this part.
author:
  - the mlops.mlflow_gcp authors (@mlops)
options:
  issuer:
    description: URL of the issuer of the provider.
    type: str
    required: true
  files:
    description: Files with the secrets. Only their presence, size and white space are reported.
    type: list
    elements: path
    default: []
  program:
    description: Path of the program.
    type: path
    default: /opt/oauth2-proxy/current/oauth2-proxy
  configuration:
    description: Directory of the configuration.
    type: path
    default: /etc/oauth2-proxy
  timeout:
    description: Seconds to wait for the provider.
    type: int
    default: 15
attributes:
  check_mode:
    description: Only reads.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
"""

EXAMPLES = r"""
- name: Read the state of OAuth2-Proxy
  mlops.mlflow_gcp.oauth2_proxy_info:
    issuer: https://accounts.google.com
"""

RETURN = r"""
facts:
  description: The parts C(units), C(version), C(configuration), C(secrets) and C(provider).
  returned: success
  type: dict
"""

import json
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url

from ..module_utils import _oidc

UNITS = ("oauth2-proxy.socket", "oauth2-proxy.service")
PROPERTIES = ("ActiveState", "SubState", "NRestarts", "Result")
OPTIONS = {
    "issuer": {"type": "str", "required": True},
    "files": {"type": "list", "elements": "path", "default": []},
    "program": {"type": "path", "default": "/opt/oauth2-proxy/current/oauth2-proxy"},
    "configuration": {"type": "path", "default": "/etc/oauth2-proxy"},
    "timeout": {"type": "int", "default": 15},
}
Run = Callable[..., tuple[int, str, str]]


def units(run: Run) -> dict[str, Any]:
    """Return the state of each unit."""
    found = {}
    for unit in UNITS:
        _code, out, _error = run(["systemctl", "show", unit, f"--property={','.join(PROPERTIES)}"], check_rc=True)
        found[unit] = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    return found


def version(run: Run, program: str) -> str:
    """Return the version that the program reports."""
    _code, out, _error = run([program, "--version"], check_rc=True)
    found = re.search(r"v(\d+\.\d+\.\d+)", out)
    return found[1] if found else out.strip()


def configuration(directory: Path) -> dict[str, Any]:
    """Return the parts of the configuration that the checks compare."""
    options = (directory / "oauth2-proxy.cfg").read_text(encoding="utf-8")
    redirect = re.search(r'^redirect_url = "([^"]*)"$', options, re.MULTILINE)
    (provider,) = json.loads((directory / "oauth2-proxy.yaml").read_text(encoding="utf-8"))["providers"]
    return {
        "redirect_uri": redirect[1] if redirect else "",
        "client_id": provider["clientID"],
        "issuer": provider["oidcConfig"]["issuerURL"],
        "authorization_endpoint": provider["loginURL"],
        "token_endpoint": provider["redeemURL"],
        "jwks_uri": provider["oidcConfig"]["jwksURL"],
    }


def secrets(paths: list[str]) -> dict[str, Any]:
    """Return for each file whether it is there, its size, its mode, and whether white space is around the value."""
    found: dict[str, Any] = {}
    for path in map(Path, paths):
        if not path.exists():
            found[path.name] = {"present": False}
            continue
        value = path.read_bytes()
        mode = stat.S_IMODE(path.stat().st_mode)
        found[path.name] = {
            "present": True,
            "size": len(value),
            "mode": f"{mode:04o}",
            "white_space": value != value.strip(),
        }
    return found


def provider(issuer: str, seconds: int) -> dict[str, Any]:
    """Return the endpoints of the provider as this VM sees them."""

    def get(url: str) -> Any:
        return json.loads(open_url(url, timeout=seconds).read())

    document = _oidc.read(issuer, get)
    _oidc.check_keys(document, get)
    return {name: document.get(name) for name in _oidc.ENDPOINTS}


def guarded(part: Callable[[], Any]) -> Any:
    """Return the result of a part, or its error."""
    try:
        return part()
    except Exception as error:
        return {"error": " ".join(str(error).split())[:300] or type(error).__name__}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(OPTIONS, supports_check_mode=True)
    params = module.params

    def run(command: list[str], *, check_rc: bool) -> tuple[int, str, str]:
        code, out, error = module.run_command(command, handle_exceptions=False)
        if check_rc and code:
            raise OSError(f"{' '.join(command)}: {error.strip() or out.strip()}")
        return code, out, error

    facts = {
        "units": guarded(lambda: units(run)),
        "version": guarded(lambda: version(run, params["program"])),
        "configuration": guarded(lambda: configuration(Path(params["configuration"]))),
        "secrets": guarded(lambda: secrets(params["files"])),
        "provider": guarded(lambda: provider(params["issuer"], params["timeout"])),
    }
    module.exit_json(changed=False, facts=facts)


if __name__ == "__main__":
    main()
