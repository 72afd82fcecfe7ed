# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A playbook that was killed converges in a later run.

All of playbooks/provision.yml and playbooks/destroy.yml run against a local cloud in this process, with an engine in
memory. A kill is SIGKILL to all processes of the run, in the worst moment: the cloud has done a call, and the answer is
not sent yet. The next run finds the result. Repeated kills take one project through every state that a kill can leave.
`MLFLOW_GCP_TEST_KILL_EVERY=1` kills once at every changing call.
"""

from __future__ import annotations

import os
import signal

from tests.localcloud.playbooks.playbook import NEW, Door, Playbook

KILL_EVERY = int(os.environ.get("MLFLOW_GCP_TEST_KILL_EVERY", "0"))
CONFIRMED = ("-e", "infrastructure_destroy_confirm=mlflow-local/mlflow", "-e", "infrastructure_destroy_data=true")
# Steps of destroy.yml, by the state that each leaves to the next run.
UNTIL_THE_PEERING = ("DELETE */sqladmin/*/instances/mlflow-database", "POST */removePeering")
AFTER_THE_PEERING = ("DELETE */networks/mlflow-network",)


def killed_again_and_again(playbook: Playbook, door: Door, *arguments: str, name: str, every: int | str) -> None:
    """Kill each run at a changing call, until a run succeeds."""
    door.killed_at.clear()
    for _ in range(100):
        status = playbook.run(*arguments, playbook=name, kill_at=every)
        if status != -signal.SIGKILL:
            break
    assert status == 0, f"after {door.killed_at}:\n{playbook.output[-5000:]}"
    print("\n".join(door.killed_at))
    assert len(door.killed_at) >= 3


def killed_at(playbook: Playbook, door: Door, *steps: str) -> None:
    """Run destroy.yml once for each step, and kill each run at its step."""
    for step in steps:
        status = playbook.run(*CONFIRMED, playbook="destroy", kill_at=step)
        assert status == -signal.SIGKILL, f"not killed at {step}, after {door.killed_at}:\n{playbook.output[-5000:]}"


def test_killed_again_and_again_it_converges(playbook: Playbook, door: Door) -> None:
    killed_again_and_again(playbook, door, name="provision", every=NEW if KILL_EVERY == 1 else KILL_EVERY or 11)
    assert playbook.to_the_end() == 0, playbook.output[-5000:]
    if KILL_EVERY:
        # Not by number: the deletion of the connection fails at first, so each run would be killed at this call.
        killed_again_and_again(playbook, door, *CONFIRMED, name="destroy", every=NEW)
    else:
        killed_at(playbook, door, *UNTIL_THE_PEERING)
        # A new database with the same name, on the network whose peering was removed.
        assert playbook.to_the_end() > 0
        killed_at(playbook, door, *AFTER_THE_PEERING)
        assert playbook.to_the_end(*CONFIRMED, playbook="destroy") > 0
    assert playbook.to_the_end(*CONFIRMED, playbook="destroy") == 0, playbook.output[-5000:]
