#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: oauth2_proxy_binary
short_description: Build or fetch the program OAuth2-Proxy
version_added: 0.1.0
description:
  - Provides the program OAuth2-Proxy in a cache directory of the control node. Later runs use the file in the cache.
  - V(build) compiles the program from its Go module. The module's checksum must be the one in O(sums), and the module's
    own C(go.sum) has the checksums of all modules that it needs. So one checksum determines the whole source code.
  - Settings of the user such as C(GONOSUMDB), C(GOFLAGS) and C(go env -w) have no effect, except C(GOPROXY).
author:
  - the mlops.mlflow_gcp authors (@mlops)
options:
  version:
    description: Release of OAuth2-Proxy, such as V(7.15.6).
    type: str
    required: true
  architecture:
    description: Architecture of the VM.
    type: str
    choices: [amd64, arm64]
    default: amd64
  source:
    description:
      - V(build) compiles the Go module with the Go of the control node. If that is missing or too old, the module
        installs the Python package in O(go_requirements) for the time of the build.
      - V(url) downloads O(url), and V(file) copies O(file). Both are the program or the archive of a release.
    type: str
    choices: [build, url, file]
    default: build
  directory:
    description: Cache directory.
    type: path
    required: true
  sums:
    description: Text of a C(go.sum) file with the checksums of the releases.
    type: str
    default: ''
  checksum:
    description:
      - Checksum of the Go module for V(build), such as V(h1:...). Replaces the one in O(sums).
      - Without any checksum for the release, Go asks its checksum database. A database that is off is refused.
    type: str
    default: ''
  go_requirements:
    description: Requirements file with hashes of a Python package that contains Go. Required for V(build).
    type: path
  url:
    description: URL for V(url).
    type: str
    default: ''
  file:
    description: Path on the control node for V(file).
    type: path
  sha256:
    description: SHA-256 checksum of the content of O(url) or O(file). Required for V(url).
    type: str
    default: ''
attributes:
  check_mode:
    description: Only reports whether the program would be built or fetched in C(check_mode).
    support: full
  diff_mode:
    description: Returns no diff.
    support: none
"""

EXAMPLES = r"""
- name: Build OAuth2-Proxy
  delegate_to: localhost
  mlops.mlflow_gcp.oauth2_proxy_binary:
    version: 7.15.6
    directory: ~/.cache/mlflow-gcp/oauth2-proxy
    sums: "{{ lookup('ansible.builtin.file', 'oauth2-proxy.sum') }}"
    go_requirements: go-requirements.txt
  register: binary
"""

RETURN = r"""
path:
  description: Path of the program. Empty in check mode if the program is not in the cache.
  returned: success
  type: str
  sample: /home/me/.cache/mlflow-gcp/oauth2-proxy/7.15.6-amd64-0123456789ab/oauth2-proxy
sha256:
  description: SHA-256 checksum of the program. Empty in check mode if the program is not in the cache.
  returned: success
  type: str
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url

from ..module_utils import _oauth2_proxy_binary as binary

OPTIONS = {
    "version": {"type": "str", "required": True},
    "architecture": {"type": "str", "choices": ["amd64", "arm64"], "default": "amd64"},
    "source": {"type": "str", "choices": ["build", "url", "file"], "default": "build"},
    "directory": {"type": "path", "required": True},
    "sums": {"type": "str", "default": ""},
    "checksum": {"type": "str", "default": ""},
    "go_requirements": {"type": "path"},
    "url": {"type": "str", "default": ""},
    "file": {"type": "path"},
    "sha256": {"type": "str", "default": ""},
}
DOWNLOAD_SECONDS = 300


def _read(url: str) -> bytes:
    try:
        content: bytes = open_url(url, timeout=DOWNLOAD_SECONDS).read()
    except Exception as error:
        raise binary.BinaryError(f"cannot download {url}: {error}. Correct authentication_oauth2_proxy_url") from error
    return content


def provide(request: binary.Request, params: dict[str, Any], report: Callable[[str], None]) -> Path:
    """Build, download or copy the program."""
    if request.source == "file":
        return binary.take(request)
    if request.source == "url":
        return binary.fetch(request, _read)
    return binary.build(request, params["sums"], Path(params["go_requirements"]), report)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        OPTIONS,
        supports_check_mode=True,
        required_if=[
            ("source", "build", ["go_requirements"]),
            ("source", "file", ["file"]),
        ],
    )
    params = module.params
    # An empty text counts as given for required_if.
    if params["source"] == "url" and not (params["url"] and params["sha256"]):
        module.fail_json(msg="source is url but any of the following are missing: url, sha256")
    request = binary.Request(
        version=params["version"],
        architecture=params["architecture"],
        source=params["source"],
        directory=Path(params["directory"]),
        checksum=params["checksum"],
        sha256=params["sha256"],
        url=params["url"],
        file=params["file"] or "",
    )
    try:
        request = binary.exact(request) if params["source"] == "file" else request
        found = binary.cached(request)
        if found is None and module.check_mode:
            module.exit_json(changed=True, path="", sha256="")
        path = found or provide(request, params, module.log)
    except binary.BinaryError as error:
        module.fail_json(msg=f"OAuth2-Proxy: {error}.")
    module.exit_json(changed=found is None, path=str(path), sha256=binary.sha256_of(path))


if __name__ == "__main__":
    main()
