# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Hold the lock of a deployment while the calling ansible-playbook runs.

Each task of a play is a short-lived process. Therefore a background process holds the lock (flock), watches the
ansible-playbook process and ends with it, even after SIGKILL. Prints one JSON document: the ansible-playbook process,
or the holder of the lock. Runs on the control node.
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
    """Return the arguments of a process, or an empty list if the process has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []


def parent_of(process: int) -> int:
    """Return the parent of a process, or 0 if there is none."""
    try:
        # The name in parentheses may contain spaces and parentheses.
        return int(Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def is_playbook(process: int) -> bool:
    """Return whether a process is ansible-playbook or one of its forks."""
    words = command_of(process)
    # Flags of the interpreter precede the program.
    rest = list(itertools.dropwhile(lambda word: word.startswith("-") and word not in ("-m", "-c"), words[1:]))
    named = any(Path(word).name == PROGRAM for word in words[:1] + rest[:1])
    return named or rest[:3] == ["-m", "ansible", "playbook"]


def find_playbook(process: int) -> int:
    """Return the ansible-playbook process above a process, or 0."""
    while process > 1 and not is_playbook(process):
        process = parent_of(process)
    # The worker of a task is a fork with the same arguments.
    while process > 1 and is_playbook(parent_of(process)):
        process = parent_of(process)
    return process if process > 1 else 0


def holder(path: Path) -> dict[str, object]:
    """Read the holder's description of itself from the lock file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def keep(handle: int, watched: int) -> None:
    """Hold the lock until the watched process ends. Do not return."""
    # At a time limit, systemd signals all processes of the unit, but the playbook needs some time to end.
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
    """Run as a program; return its exit code: 3 if another process holds the lock."""
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
        # A new holder may not have written its description yet.
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
        # The timers of the role schedule run as systemd units.
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
