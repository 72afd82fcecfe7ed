#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_release
short_description: Choose an MLflow release and lock what it needs
version_added: 0.1.0
description:
  - Looks into a package index for the release that a channel leads to, passing over releases that are yanked, that are
    pre-releases, or of which a part (C(mlflow-skinny), C(mlflow-tracing)) is missing.
  - Finds the release's locked requirements, every package pinned with its hashes, or makes them with C(uv).
  - Runs on the control host. Changes nothing but one file in O(directory).
author:
  - the mlops.mlflow_gcp authors (@mlops)
requirements:
  - packaging
  - requests
  - uv, where a release is to be locked or O(index_url) is empty
options:
  channel:
    description:
      - V(pinned) goes to O(version) and nothing else.
      - V(patch), V(minor) and V(latest) go to the newest release of the same minor version, of the same major version,
        or of all. They are relative to the newer one of O(current) and O(version), and never lead below it.
    type: str
    default: pinned
    choices: [pinned, patch, minor, latest]
  version:
    description: The release that is wanted, or, with another channel than V(pinned), the oldest that is.
    type: str
  current:
    description: The release that is served now, if any.
    type: str
  minimum:
    description: No release older than this is chosen.
    type: str
  exclude:
    description:
      - Releases that no channel leads to, such as those that were tried and gone back from. They are among
        RV(passed_over), with the reason V(excluded), and the newest of the others is chosen.
      - Has no say where O(channel=pinned), and none about O(current).
    type: list
    elements: str
    default: []
  index_url:
    description:
      - Package index, PEP 503 or 691. User and password may be part of it; the password is shown nowhere.
      - When empty, the one that C(uv) uses on this host, E(UV_DEFAULT_INDEX) or C(uv.toml) included.
    type: str
    default: ""
  requirements_file:
    description: Locked requirements of O(version), for a release that is pinned. Used instead of looking for others.
    type: path
  source:
    description:
      - Directory with C(requirements.in), what a release needs, and C(requirements-VERSION.txt) of releases that are
        locked already.
    type: path
    required: true
  directory:
    description: Where C(requirements-VERSION.txt) of a release that O(source) does not lock is kept.
    type: path
    required: true
  python_version:
    description: The oldest Python that the locked requirements are to be good for.
    type: str
    default: "3.11"
  timeout:
    description: Seconds to wait for an answer of the index.
    type: int
    default: 60
attributes:
  check_mode:
    description: Chooses the release, locks nothing.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode).
    support: none
"""

EXAMPLES = r"""
- name: The newest release with the same major version
  mlops.mlflow_gcp.mlflow_release:
    channel: minor
    current: 3.16.0
    source: /opt/mlflow-gcp/roles/mlflow/files
    directory: /var/lib/mlflow-gcp/my-project-mlflow/releases
  register: release

- name: The newest release, but not the one that was gone back from
  mlops.mlflow_gcp.mlflow_release:
    channel: latest
    current: 3.17.2
    exclude: [3.18.0]
    source: /opt/mlflow-gcp/roles/mlflow/files
    directory: /var/lib/mlflow-gcp/my-project-mlflow/releases
  register: release
"""

RETURN = r"""
version:
  description: The release to go to; O(current) where there is no newer one.
  returned: success
  type: str
  sample: 3.17.2
upgrade:
  description: Whether RV(version) is another one than O(current).
  returned: success
  type: bool
  sample: true
passed_over:
  description: Newer releases that were not taken, each with the reason.
  returned: success
  type: dict
  sample:
    3.18.0: mlflow-skinny 3.18.0 is missing
requirements_file:
  description: The locked requirements; empty where there is nothing to go to, or in check mode nothing locked yet.
  returned: success
  type: str
  sample: /opt/mlflow-gcp/roles/mlflow/files/requirements-3.17.2.txt
locked:
  description: Where the locked requirements come from.
  returned: success
  type: str
  sample: shipped
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ..module_utils import _release
from ..module_utils._release import CHANNELS, Asked, Index, ReleaseError

OPTIONS: dict[str, dict[str, Any]] = {
    "channel": {"type": "str", "default": "pinned", "choices": list(CHANNELS)},
    "version": {"type": "str"},
    "current": {"type": "str"},
    "minimum": {"type": "str"},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "index_url": {"type": "str", "default": ""},
    "requirements_file": {"type": "path"},
    "source": {"type": "path", "required": True},
    "directory": {"type": "path", "required": True},
    "python_version": {"type": "str", "default": "3.11"},
    "timeout": {"type": "int", "default": 60},
}
# The same arguments as in roles/mlflow/README.md; and wheels alone, since nothing is built on the machine.
COMPILE = (
    *("pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-annotate", "--no-emit-index-url"),
    *("--no-emit-find-links", "--no-header", "--no-config", "--only-binary", ":all:"),
)
COMPILE_TIMEOUT = 600  # seconds
TELL_INDEX = ("pip", "compile", "--quiet", "--no-header", "--emit-index-url", "-")
TELL_INDEX_TIMEOUT = 60  # seconds
OWN_LINE = re.compile(r"^mlflow(?P<extras>\[[a-z,]+\])?==\S+", re.MULTILINE)


def parse(option: str, value: str | None) -> _release.Version | None:
    """An option's value as a version."""
    try:
        return _release.Version(value) if value else None
    except _release.InvalidVersion as error:
        raise ReleaseError(f"{option} is '{value}', which is no version. Give one such as 3.17.2.") from error


def locks(path: Path, version: str) -> bool:
    """Tell whether the file is a whole lock of this release."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return f"mlflow=={version} " in text and "--hash=sha256:" in text


def find_uv() -> str:
    """The uv beside the Python that runs this, else the one in PATH."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if not found:
        raise ReleaseError(
            f"uv, which knows the package index and locks what a release needs, is neither beside {sys.executable} nor "
            "in PATH. Install it (pip install uv), or give upgrade_index_url and mlflow_requirements_file."
        )
    return found


def default_index() -> str:
    """The index that uv uses on this host. It is not asked: there are no requirements."""
    done = subprocess.run(
        [find_uv(), *TELL_INDEX],
        check=False,
        input="",
        text=True,
        capture_output=True,
        timeout=TELL_INDEX_TIMEOUT,
    )
    for line in done.stdout.splitlines():
        option, _space, url = line.partition(" ")
        if option == "--index-url":
            return url
    raise ReleaseError(
        f"uv does not tell this host's package index: {done.stderr.strip()[-300:]} Set upgrade_index_url."
    )


def compile_lock(params: dict[str, Any], version: str, target: Path) -> None:
    """Write the release's locked requirements, whole or not at all."""
    source = Path(params["source"]) / "requirements.in"
    wanted, count = OWN_LINE.subn(rf"mlflow\g<extras>=={version}", source.read_text(encoding="utf-8"))
    if count != 1:
        raise ReleaseError(f"{source} does not name mlflow==VERSION once. Restore it.")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shown = _release.without_password(params["index_url"])
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".lock-") as scratch:
        made = Path(scratch) / target.name
        # The index goes by environment: its address may hold a password, and arguments are for everybody to see.
        environment = {**os.environ, "UV_DEFAULT_INDEX": params["index_url"]}
        command = [find_uv(), *COMPILE, "--python-version", params["python_version"], "-", "--output-file", str(made)]
        try:
            done = subprocess.run(
                command,
                check=False,
                env=environment,
                input=wanted,
                text=True,
                capture_output=True,
                timeout=COMPILE_TIMEOUT,
            )
            said = (done.stderr or done.stdout).replace(params["index_url"], shown).strip()
        except subprocess.TimeoutExpired:
            done, said = None, f"not done after {COMPILE_TIMEOUT} seconds"
        if done is None or done.returncode != 0 or not locks(made, version):
            raise ReleaseError(
                f"uv could not lock MLflow {version} from the package index {shown}: {said[-1500:]} Nothing changed."
                " Try again, set upgrade_index_url, or lock it by hand (roles/mlflow/README.md)."
            )
        made.chmod(0o644)
        made.replace(target)


def find_lock(params: dict[str, Any], version: str) -> tuple[str, Path]:
    """The release's locked requirements: where they come from, and the path, which may not exist yet."""
    name = f"requirements-{version}.txt"
    given, shipped = params["requirements_file"], Path(params["source"]) / name
    if given and params["channel"] == "pinned":
        if not locks(Path(given), version):
            raise ReleaseError(
                f"{given} (mlflow_requirements_file) does not lock mlflow=={version} with hashes. "
                "Lock that release (roles/mlflow/README.md), or leave the setting empty."
            )
        return "given", Path(given)
    if locks(shipped, version):
        return "shipped", shipped
    kept = Path(params["directory"]) / name
    return ("kept" if locks(kept, version) else "made"), kept


def release(params: dict[str, Any], *, check_mode: bool) -> dict[str, Any]:
    """Choose and lock; what the module returns."""
    params = {**params, "index_url": params["index_url"] or default_index()}
    versions = {option: parse(option, params[option]) for option in ("version", "current", "minimum")}
    index = Index(
        params["index_url"], _release.new_session(), python=params["python_version"], timeout=params["timeout"]
    )
    excluded = frozenset(filter(None, (parse("exclude", each) for each in params["exclude"])))
    chosen, passed = _release.choose(Asked(params["channel"], **versions, exclude=excluded), index)
    result = {
        "version": str(chosen),
        "upgrade": chosen != versions["current"],
        "passed_over": passed,
        "requirements_file": "",
        "locked": "",
        "changed": False,
    }
    if result["upgrade"]:
        result["locked"], path = find_lock(params, str(chosen))
        if result["locked"] == "made":
            result["changed"] = True
            if check_mode:
                return result
            compile_lock(params, str(chosen), path)
        result["requirements_file"] = str(path)
    return result


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    # What the module was called with is part of its output.
    if password := urlsplit(module.params["index_url"]).password:
        module.no_log_values.add(password)
    if _release.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("packaging, requests"), exception=str(_release.IMPORT_ERROR))
    try:
        result = release(module.params, check_mode=module.check_mode)
    except ReleaseError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or module.params['directory']}: {error.strerror or error}.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
