# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Changes of files that survive a power cut."""

from __future__ import annotations

from pathlib import Path

from mlflowctl.system import System


class Recorded(System):
    """Records the files and directories that are written to the disk, with their content at this time."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.synced: list[tuple[str, str | list[str]]] = []

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        content = sorted(each.name for each in path.iterdir()) if path.is_dir() else path.read_text(encoding="utf-8")
        self.synced.append((path.name, content))


def test_changes_are_on_the_disk_before_the_next_step(tmp_path: Path) -> None:
    """The content of a file comes before its name, and the name before the return."""
    system, folder = Recorded(tmp_path), tmp_path / "state"
    system.write(folder / "file", "text")
    assert system.synced == [(".file.new", "text"), ("state", ["file"])]
    system.synced.clear()
    system.link(folder / "link", "file")
    assert system.synced == [("state", ["file", "link"])]
    system.synced.clear()
    system.remove(folder / "file")
    assert system.synced == [("state", ["link"])]
