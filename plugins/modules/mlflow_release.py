#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_release
short_description: Select an MLflow release and lock its requirements
version_added: 0.1.0
description:
  - Selects a release from a package index according to a channel. Skips yanked releases, pre-releases, and releases
    without C(mlflow-skinny) or C(mlflow-tracing).
  - Finds the release's locked requirements, in which every package is pinned with its hashes, or creates them with
    C(uv).
  - Runs on the control node. Changes only one file in O(directory).
author:
  - the mlops.mlflow_gcp authors (@mlops)
requirements:
  - packaging
  - requests
  - uv, if a release must be locked or O(index_url) is empty
options:
  channel:
    description:
      - V(pinned) selects O(version) only.
      - V(patch), V(minor) and V(latest) select the newest release of the same minor version, of the same major version,
        or of all releases. They start from the newer one of O(current) and O(version), and never select an older
        release.
    type: str
    default: pinned
    choices: [pinned, patch, minor, latest]
  version:
    description: The desired release. With another channel than V(pinned), the oldest acceptable release.
    type: str
  current:
    description: The deployed release, if any.
    type: str
  minimum:
    description: Oldest release that may be selected.
    type: str
  rolled_back:
    description:
      - The rolled-back release that the VM recorded, C(rolled_back) of C(mlflowctl status).
      - A channel selects the newest of the other releases. With O(channel=pinned), no release is selected.
    type: dict
    default: {}
  recorded:
    description: The record of the deployed release. Its rolled-back releases are not selected.
    type: dict
    default: {}
  again:
    description: Whether a rolled-back release may be selected again.
    type: bool
    default: false
  index_url:
    description:
      - Package index, PEP 503 or 691. The URL may contain user and password. The module never shows the password.
      - If empty, the index that C(uv) uses on the control node, also from E(UV_DEFAULT_INDEX) or C(uv.toml).
    type: str
    default: ""
  requirements_file:
    description: Locked requirements of O(version) for O(channel=pinned). Used instead of all other locked requirements.
    type: path
  source:
    description:
      - Directory with the template C(requirements.in) and with C(requirements-VERSION.txt) of the releases that are
        already locked.
    type: path
    required: true
  directory:
    description: Directory for C(requirements-VERSION.txt) of a release that is not locked in O(source).
    type: path
    required: true
  python_version:
    description: Oldest Python version that the locked requirements must support.
    type: str
    default: "3.11"
  timeout:
    description: Maximum number of seconds to wait for a response from the index.
    type: int
    default: 60
attributes:
  check_mode:
    description: Selects the release, but locks nothing.
    support: full
  diff_mode:
    description: Returns no diff.
    support: none
"""

EXAMPLES = r"""
- name: Select the newest release with the same major version
  mlops.mlflow_gcp.mlflow_release:
    channel: minor
    current: 3.16.0
    source: /opt/mlflow-gcp/roles/mlflow/files
    directory: /var/lib/mlflow-gcp/my-project-mlflow/releases
  register: release

- name: Select the newest release except a release that was rolled back
  mlops.mlflow_gcp.mlflow_release:
    channel: latest
    current: 3.17.2
    rolled_back: {version: 3.18.0, since: "2026-11-21T14:52:12Z"}
    source: /opt/mlflow-gcp/roles/mlflow/files
    directory: /var/lib/mlflow-gcp/my-project-mlflow/releases
  register: release
"""

RETURN = r"""
version:
  description: The selected release. Equal to O(current) if there is no newer release.
  returned: success
  type: str
  sample: 3.17.2
upgrade:
  description: Whether RV(version) differs from O(current).
  returned: success
  type: bool
  sample: true
skipped:
  description: Newer releases that were skipped, each with the reason.
  returned: success
  type: dict
  sample:
    3.18.0: mlflow-skinny 3.18.0 is missing
refused:
  description: The rolled-back release that would be selected with O(again). Empty if there is none.
  returned: success
  type: str
  sample: ""
message:
  description: The reason why there is no upgrade. Empty if there is one.
  returned: success
  type: str
  sample: MLflow 3.17.2 is deployed. The channel minor has no newer release.
requirements_file:
  description: The locked requirements. Empty without an upgrade, or in check mode if they are not locked yet.
  returned: success
  type: str
  sample: /opt/mlflow-gcp/roles/mlflow/files/requirements-3.17.2.txt
locked:
  description: Source of the locked requirements.
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
from ..module_utils._rolled_back import rolled_back

OPTIONS: dict[str, dict[str, Any]] = {
    "channel": {"type": "str", "default": "pinned", "choices": list(CHANNELS)},
    "version": {"type": "str"},
    "current": {"type": "str"},
    "minimum": {"type": "str"},
    "rolled_back": {"type": "dict", "default": {}},
    "recorded": {"type": "dict", "default": {}},
    "again": {"type": "bool", "default": False},
    "index_url": {"type": "str", "default": ""},
    "requirements_file": {"type": "path"},
    "source": {"type": "path", "required": True},
    "directory": {"type": "path", "required": True},
    "python_version": {"type": "str", "default": "3.11"},
    "timeout": {"type": "int", "default": 60},
}
# The same arguments as in roles/mlflow/README.md, plus wheels only, because nothing is built on the VM.
COMPILE = (
    *("pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-annotate", "--no-emit-index-url"),
    *("--no-emit-find-links", "--no-header", "--no-config", "--only-binary", ":all:"),
)
COMPILE_TIMEOUT = 600  # seconds
SHOW_INDEX = ("pip", "compile", "--quiet", "--no-header", "--emit-index-url", "-")
SHOW_INDEX_TIMEOUT = 60  # seconds
OWN_LINE = re.compile(r"^mlflow(?P<extras>\[[a-z,]+\])?==\S+", re.MULTILINE)


def parse(option: str, value: str | None) -> _release.Version | None:
    """Return the value of an option as a version."""
    try:
        return _release.Version(value) if value else None
    except _release.InvalidVersion as error:
        raise ReleaseError(
            f"{option} is '{value}', which is not a version. Set {option} to a version such as 3.17.2."
        ) from error


def locks(path: Path, version: str) -> bool:
    """Return whether the file is a complete lock of this release."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return f"mlflow=={version} " in text and "--hash=sha256:" in text


def find_uv() -> str:
    """Return the path of uv next to the running Python, or from PATH."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if not found:
        raise ReleaseError(
            f"Cannot find uv, which locks the requirements of a release, next to {sys.executable} or in PATH. Install "
            "uv (pip install uv), or set upgrade_index_url and mlflow_requirements_file."
        )
    return found


def default_index() -> str:
    """Return the index that uv uses on this host. Empty requirements cause no request to the index."""
    done = subprocess.run(
        [find_uv(), *SHOW_INDEX],
        check=False,
        input="",
        text=True,
        capture_output=True,
        timeout=SHOW_INDEX_TIMEOUT,
    )
    for line in done.stdout.splitlines():
        option, _space, url = line.partition(" ")
        if option == "--index-url":
            return url
    raise ReleaseError(f"uv does not report its package index: {done.stderr.strip()[-300:]} Set upgrade_index_url.")


def compile_lock(params: dict[str, Any], version: str, target: Path) -> None:
    """Write the release's locked requirements atomically."""
    source = Path(params["source"]) / "requirements.in"
    requirements, count = OWN_LINE.subn(rf"mlflow\g<extras>=={version}", source.read_text(encoding="utf-8"))
    if count != 1:
        raise ReleaseError(
            f"{source} must contain mlflow==VERSION once. It contains {count} such lines. Restore the file."
        )
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shown = _release.without_password(params["index_url"])
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".lock-") as scratch:
        made = Path(scratch) / target.name
        # Pass the index in the environment: its URL may contain a password, and all users can see arguments.
        environment = {**os.environ, "UV_DEFAULT_INDEX": params["index_url"]}
        command = [find_uv(), *COMPILE, "--python-version", params["python_version"], "-", "--output-file", str(made)]
        try:
            done = subprocess.run(
                command,
                check=False,
                env=environment,
                input=requirements,
                text=True,
                capture_output=True,
                timeout=COMPILE_TIMEOUT,
            )
            output = (done.stderr or done.stdout).replace(params["index_url"], shown).strip()
        except subprocess.TimeoutExpired:
            done, output = None, f"stopped after {COMPILE_TIMEOUT} seconds."
        if done is None or done.returncode != 0 or not locks(made, version):
            raise ReleaseError(
                f"uv cannot lock MLflow {version} from the package index {shown}: {output[-1500:]} Nothing was changed."
                " Run the playbook again, set upgrade_index_url, or lock the release yourself (roles/mlflow/README.md)."
            )
        made.chmod(0o644)
        made.replace(target)


def find_lock(params: dict[str, Any], version: str) -> tuple[str, Path]:
    """Return the source and the path of the release's locked requirements. The file may not exist yet."""
    name = f"requirements-{version}.txt"
    given, shipped = params["requirements_file"], Path(params["source"]) / name
    if given and params["channel"] == "pinned":
        if not locks(Path(given), version):
            raise ReleaseError(
                f"{given} (mlflow_requirements_file) does not lock mlflow=={version} with hashes. "
                "Lock that release (roles/mlflow/README.md), or leave mlflow_requirements_file empty."
            )
        return "given", Path(given)
    if locks(shipped, version):
        return "shipped", shipped
    kept = Path(params["directory"]) / name
    return ("kept" if locks(kept, version) else "made"), kept


def reason(channel: str, current: str, refused: str, since: str, skipped: dict[str, str]) -> str:
    """Return the reason why there is no upgrade. `since` is the time of the rollback of the release `refused`."""
    deployed = f"MLflow {current} is deployed."
    if refused:
        when = f"on {since}" if since else f"before MLflow {current} was installed"
        return (
            f"{deployed} MLflow {refused} was rolled back {when}, so it is not selected again automatically. To upgrade"
            f" to MLflow {refused} in spite of the rollback: -e upgrade_again=true"
        )
    listed = f" Skipped: {_release.listed(skipped)}." if skipped else ""
    return f"{deployed} The channel {channel} has no newer release.{listed}"


def release(params: dict[str, Any], *, check_mode: bool) -> dict[str, Any]:
    """Select and lock a release, and return the module's result."""
    params = {**params, "index_url": params["index_url"] or default_index()}
    versions = {option: parse(option, params[option]) for option in ("version", "current", "minimum")}
    current = versions["current"]
    index = Index(
        params["index_url"], _release.new_session(), python=params["python_version"], timeout=params["timeout"]
    )
    records = {} if params["again"] else rolled_back(params["rolled_back"], params["recorded"])
    times = {parse("rolled_back", version): since for version, since in records.items()}
    asked = Asked(params["channel"], **versions, exclude=frozenset(filter(None, times)))
    chosen, skipped = _release.choose(asked, index)
    refused = None
    if chosen == current:
        refused = next((parse("skipped", each) for each in skipped if skipped[each] == _release.ROLLED_BACK), None)
    elif current and chosen in times:
        refused, chosen = chosen, current
    result = {
        "version": str(chosen),
        "upgrade": chosen != current,
        "skipped": skipped,
        "refused": str(refused or ""),
        "message": "",
        "requirements_file": "",
        "locked": "",
        "changed": False,
    }
    if not result["upgrade"]:
        result["message"] = reason(params["channel"], str(chosen), result["refused"], times.get(refused, ""), skipped)
        return result
    result["locked"], path = find_lock(params, str(chosen))
    if result["locked"] == "made":
        result["changed"] = True
        if check_mode:
            return result
        compile_lock(params, str(chosen), path)
    result["requirements_file"] = str(path)
    return result


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    # Ansible includes the module's arguments in its output.
    if password := urlsplit(module.params["index_url"]).password:
        module.no_log_values.add(password)
    if _release.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("packaging, requests"), exception=str(_release.IMPORT_ERROR))
    try:
        result = release(module.params, check_mode=module.check_mode)
    except ReleaseError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"Cannot write {error.filename or module.params['directory']}: {error.strerror or error}.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
