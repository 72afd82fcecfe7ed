"""Run site.yml in check mode. Exit code 0: no changes, 2: changes, 1: error.

The callback plugin ``plan`` ends the output with the changes. Arguments are passed to ansible-playbook. For another
playbook, name the playbook as the first argument.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
CALLBACK = "mlops.mlflow_gcp.plan"
UNCHANGED, ERROR, CHANGED = 0, 1, 2


def main() -> int:
    """Run the playbook and return the exit code."""
    arguments = sys.argv[1:]
    playbook = [] if arguments and arguments[0].endswith((".yml", ".yaml")) else [str(REPOSITORY / "site.yml")]
    enabled = [name for name in os.environ.get("ANSIBLE_CALLBACKS_ENABLED", "").split(",") if name]
    with tempfile.NamedTemporaryFile(prefix="mlflow-gcp-plan-", mode="r", encoding="utf-8") as file:
        environment = {
            "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
            **os.environ,
            "ANSIBLE_CALLBACKS_ENABLED": ",".join([*enabled, CALLBACK]),
            "MLFLOW_GCP_PLAN_FILE": file.name,
        }
        command = ["ansible-playbook", *playbook, *arguments, "--check", "--diff"]
        try:
            code = subprocess.run(command, env=environment, check=False).returncode
        except OSError as error:
            print(f"error: cannot run ansible-playbook: {error}. Install it with: make install", file=sys.stderr)
            return ERROR
        plan = file.readline()
    if code != 0 or not plan:
        return ERROR
    return CHANGED if json.loads(plan)["changes"] else UNCHANGED


if __name__ == "__main__":
    sys.exit(main())
