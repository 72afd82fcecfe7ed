#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_lock
short_description: Take the lock of a deployment for the current ansible-playbook
version_added: 0.1.0
description:
  - Prevents that two runs of C(ansible-playbook), on one or two control nodes, change a deployment at the same time.
  - The lock is an object of a Cloud Storage bucket. A background process renews the lock until C(ansible-playbook) ends
    in any way, and then deletes the lock. If the control node itself ends, the lock expires after 5 minutes, and the
    next run takes it over with a warning.
  - A lock of a run that has ended on the same host is taken over immediately.
  - Run the module on the control node, with a local connection. Linux only.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
options:
  bucket:
    description: The bucket. The VM of the deployment must not have access to it.
    type: str
    required: true
  deployment:
    description: The deployment, as PROJECT/NAME.
    type: str
    required: true
  state:
    description:
      - V(present) takes the lock, or keeps it if this run already holds it. Fails if another run holds it.
      - V(held) fails unless this run holds the lock. Use it before a step that must not run after the lock was lost.
      - V(absent) removes the lock of any run. Use it only for a run that does not exist anymore.
    type: str
    default: present
    choices: [present, held, absent]
  purpose:
    description: Description of the run for people whose run is refused.
    type: str
    default: ''
  require_bucket:
    description: Whether to fail if the bucket does not exist. With V(false) no lock is taken then.
    type: bool
    default: true
attributes:
  check_mode:
    description: Takes and removes no lock.
    support: full
  diff_mode:
    description: Returns no diff.
    support: none
"""

EXAMPLES = r"""
- name: Take the lock of the deployment
  mlops.mlflow_gcp.mlflow_lock:
    project: my-project
    bucket: my-project-mlflow-backups
    deployment: my-project/mlflow
    purpose: "{{ ansible_play_name }}"
  changed_when: false

- name: Require that this run still holds the lock
  mlops.mlflow_gcp.mlflow_lock:
    project: my-project
    bucket: my-project-mlflow-backups
    deployment: my-project/mlflow
    state: held
  changed_when: false
"""

RETURN = r"""
lock:
  description:
    - The lock of this run, or the removed lock with O(state=absent). Null if there is none.
    - C(pid) is the process of C(ansible-playbook) on C(host). Times are in UTC.
  returned: success
  type: dict
  sample:
    account: deployer@my-project.iam.gserviceaccount.com
    user: ann
    host: build-7
    pid: "4711"
    purpose: Prepare the upgrade
    started_by: hand
    started: "2026-11-28T22:00:00Z"
    expires: "2026-11-28T22:05:00Z"
taken_over:
  description: The lock of a run that ended without a release of its lock, if this run took that lock over. Else null.
  returned: success
  type: dict
"""

import os
import select
from typing import Any

from ..module_utils import _auth, _formats, _lock, _process
from ..module_utils._action import Action, Plan, run_action
from ..module_utils._client import Client, GoogleError, Json
from ..module_utils._errors import RefusedError
from ..module_utils._lock import Held

REMOVE = "ansible-playbook playbooks/unlock.yml -e deployment_unlock_confirm={deployment}"


def described(values: Any) -> str:
    """Return the holder of a lock for a message."""
    account = f" ({values['account']})" if values.get("account") else ""
    return (
        f"process {values.get('pid', '?')} of {values.get('user', '?')}{account} on {values.get('host', '?')}, purpose "
        f"'{values.get('purpose', '?')}', started at {values.get('started', '?')} by {values.get('started_by', '?')}"
    )


class MlflowLock(Action):
    """Take, check or remove the lock of a deployment."""

    api = "storage"
    doing = "access the lock of deployment {deployment} in bucket {bucket}"
    formats = {"bucket": _formats.bucket}
    options = {
        "bucket": {"type": "str", "required": True},
        "deployment": {"type": "str", "required": True},
        "state": {"type": "str", "default": "present", "choices": ["present", "held", "absent"]},
        "purpose": {"type": "str", "default": ""},
        "require_bucket": {"type": "bool", "default": True},
    }

    def look(self) -> Plan:
        """Read the lock."""
        self.lock = _lock.Lock(self.client, self.params["bucket"], self.params["deployment"])
        self.found: Held | None = None
        try:
            self.found = self.lock.look()
        except GoogleError as error:
            if error.code != 404 and not error.service_disabled:
                raise
            if self.params["require_bucket"]:
                raise RefusedError(
                    f"There is no bucket {self.params['bucket']} with the lock of deployment "
                    f"{self.params['deployment']}. Run site.yml first, or correct the names of project and deployment."
                ) from None
            return Plan(False, {"lock": None, "taken_over": None})
        if self.params["state"] == "absent":
            return Plan(self.found is not None, self._values(self.found))
        self.run = self._this_run()
        mine = self.found is not None and self.found.values.get("run") == self.run.identity
        if self.params["state"] == "held" and not mine:
            raise RefusedError(self._lost())
        if mine and self.found and not self.found.expired(self.lock.now()):
            return Plan(False, self._values(self.found))
        if self.found and not mine:
            self._require_ended(self.found)
        return Plan(True, self._values(None, None if mine else self.found))

    def carry_out(self, plan: Plan) -> Json:
        """Take or remove the lock."""
        try:
            if self.found:
                self.lock.remove(self.found)
            if self.params["state"] == "absent":
                return {}
            held = self.lock.take(self._description())
        except GoogleError as error:
            if error.code not in (404, 412):
                raise
            # Another run was faster. Or the answer to an own, successful request was lost.
            again = self.lock.look()
            if again is None or self.params["state"] == "absent":
                raise RefusedError(
                    f"The lock of {self.params['deployment']} changed at this moment. Run again."
                ) from None
            if again.values.get("run") != self.run.identity:
                raise RefusedError(self._refusal(again)) from None
            held = again
        self._start_keeper(held.generation)
        before = plan.values["taken_over"]
        if before:
            self.warn(
                f"This run takes over the lock of deployment {self.params['deployment']}, which expired at "
                f"{before.get('expires', '?')} or whose run ended without a release: {described(before)}. Changes of "
                "that run may be incomplete."
            )
        return self._values(held, before)

    def _this_run(self) -> _process.Run:
        pid = _process.find_playbook(os.getppid())
        if not pid:
            raise RefusedError(
                "The parents of this module do not include ansible-playbook. Run the task on the control node with a "
                "local connection: delegate_to: localhost."
            )
        return _process.Run.of(pid)

    def _description(self) -> dict[str, str]:
        credentials = getattr(self.client.session, "credentials", None)
        account = getattr(credentials, "service_account_email", "") or getattr(credentials, "account", "")
        return {
            "account": account if "@" in str(account) else "",
            "user": _process.user(),
            "host": _process.host(),
            "pid": str(self.run.pid),
            "purpose": self.params["purpose"],
            # The timers of the role schedule run as systemd units.
            "started_by": "systemd" if os.environ.get("INVOCATION_ID") else "hand",
            "run": self.run.identity,
        }

    def _require_ended(self, found: Held) -> None:
        other = _process.Run.parse(found.values.get("run", ""))
        if not found.expired(self.lock.now()) and not (other and other.has_ended()):
            raise RefusedError(self._refusal(found))

    def _refusal(self, held: Held) -> str:
        return (
            f"Another run works on {self.params['deployment']}: {described(held.values)}. The lock expires at "
            f"{held.values.get('expires', '?')} unless that run renews it. Nothing was changed. Wait for the end of "
            f"that run. If that run does not exist anymore, remove its lock: {self.fill(REMOVE)}"
        )

    def _lost(self) -> str:
        now = f"held by {described(self.found.values)}" if self.found else "free"
        return (
            f"This run lost the lock of {self.params['deployment']}: the lock was removed, or was not renewed in time. "
            f"The lock is now {now}. Another run may have changed the deployment, so this run ends here. Run again."
        )

    def _start_keeper(self, generation: str) -> None:
        handle = os.pidfd_open(self.run.pid)
        params = dict(self.params)

        def ended(seconds: float) -> bool:
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            return bool(poll.poll(seconds * 1000))

        def work() -> None:
            # Two processes cannot share one TLS connection.
            session = _auth.session(_auth.AuthOptions.of(params), params["project"])
            client = Client(session, project=params["project"], timeout=_lock.KEEPER_TIMEOUT)
            _lock.keep(_lock.Lock(client, params["bucket"], params["deployment"]), generation, ended)

        _lock.start_keeper(work)

    @staticmethod
    def _values(held: Held | None, taken_over: Held | Json | None = None) -> Json:
        before = taken_over.values if isinstance(taken_over, Held) else taken_over
        return {"lock": dict(held.values) if held else None, "taken_over": dict(before) if before else None}


def main() -> None:
    """Run the module."""
    run_action(MlflowLock)


if __name__ == "__main__":
    main()
