# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Hold a deployment's lock for as long as the ansible-playbook that asks for it runs.

Each task of a play is a process of its own and none of them lasts, so a process of ours stays behind, holds the lock
(flock) and watches the playbook: the lock goes with the playbook's last breath, also with SIGKILL. Prints one JSON
document: the playbook's process, or who holds the lock. Runs on the control host.
"""

from __future__ import annotations

import argparse
import fcntl
import getpass
import itertools
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PROGRAM = "ansible-playbook"


def command_of(process: int) -> list[str]:
    """A process's arguments; empty when it is gone."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []


def parent_of(process: int) -> int:
    """A process's parent; 0 when there is none."""
    try:
        # The name in parentheses may hold anything, spaces and parentheses too.
        return int(Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def is_playbook(process: int) -> bool:
    """Tell whether this is ansible-playbook, one of the processes it forks included."""
    words = command_of(process)
    # An interpreter's own flags stand before the program.
    rest = list(itertools.dropwhile(lambda word: word.startswith("-") and word not in ("-m", "-c"), words[1:]))
    named = any(Path(word).name == PROGRAM for word in words[:1] + rest[:1])
    return named or rest[:3] == ["-m", "ansible", "playbook"]


def find_playbook(process: int) -> int:
    """The ansible-playbook that this process belongs to, or 0."""
    while process > 1 and not is_playbook(process):
        process = parent_of(process)
    # A task's worker is a fork with the same arguments.
    while process > 1 and is_playbook(parent_of(process)):
        process = parent_of(process)
    return process if process > 1 else 0


def holder(path: Path) -> dict[str, object]:
    """What the holder wrote about itself."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def keep(handle: int, watched: int) -> None:
    """Hold the lock until the watched process ends. Does not return."""
    # systemd signals all processes of a unit whose time is up, and the playbook takes its time to end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.chdir("/")
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    while not poll.poll():
        pass
    os.ftruncate(handle, 0)
    os._exit(0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; return its exit code: 3 when somebody else holds the lock."""
    parser = argparse.ArgumentParser(description="Hold a lock while the calling ansible-playbook runs")
    parser.add_argument("path", type=Path)
    parser.add_argument("--purpose", default="")
    options = parser.parse_args(arguments)
    playbook = find_playbook(os.getppid())
    if not playbook:
        print(json.dumps({"error": f"no {PROGRAM} among the parents of this process"}))
        return 1
    handle = os.open(options.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        # Whoever has just taken it may not have written yet.
        for _attempt in range(20):
            if found := holder(options.path):
                break
            time.sleep(0.05)
        if found.get("pid") == playbook:
            print(json.dumps(found))
            return 0
        print(json.dumps({"holder": found}))
        return 3
    watched = os.pidfd_open(playbook)
    mine = {
        "pid": playbook,
        "user": getpass.getuser(),
        "host": socket.gethostname(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "purpose": options.purpose,
        # A unit of the schedule, where it is one.
        "unit": "by systemd" if os.environ.get("INVOCATION_ID") else "by hand",
    }
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(mine).encode(), 0)
    if os.fork() == 0:
        keep(handle, watched)
    print(json.dumps(mine), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
