# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The filter root_owned selects files that only root can change and all users can read."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.filter.root_owned import FilterModule, root_owned

FILE = {"path": "/etc/a", "uid": 0, "gid": 0, "mode": "0644", "isreg": True, "isdir": False, "checksum": "abc"}
DIRECTORY = {"path": "/etc/d", "uid": 0, "gid": 0, "mode": "0755", "isreg": False, "isdir": True}


def test_files_and_directories() -> None:
    assert root_owned([FILE, DIRECTORY]) == {"/etc/a": "abc", "/etc/d": "directory"}


@pytest.mark.parametrize("checksum", [{}, {"checksum": None}], ids=str)
def test_a_file_without_a_checksum(checksum: dict[str, Any]) -> None:
    plain = {key: value for key, value in FILE.items() if key != "checksum"}
    assert root_owned([plain | checksum]) == {"/etc/a": ""}


@pytest.mark.parametrize("change", [{"uid": 1}, {"gid": 1}, {"mode": "0600"}, {"mode": "0664"}], ids=str)
def test_other_owners_and_modes_are_skipped(change: dict[str, Any]) -> None:
    assert root_owned([FILE | change, DIRECTORY | change]) == {}


def test_files_and_directories_have_different_modes() -> None:
    assert root_owned([FILE | {"mode": "0755"}, DIRECTORY | {"mode": "0644"}]) == {}


def test_links_are_skipped() -> None:
    assert root_owned([FILE | {"isreg": False, "islnk": True}]) == {}


def test_the_filter_has_its_name() -> None:
    assert FilterModule().filters() == {"root_owned": root_owned}
