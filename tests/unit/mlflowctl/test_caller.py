# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""How often the user of a request is read from the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from mlflow_gcp_server.caller import CALLER, Caller, once_per_request

Read = Callable[[str], str]


class Database:
    def __init__(self) -> None:
        self.reads = 0

    def get_user(self, username: str) -> str:
        self.reads += 1
        if username == "deleted":
            raise LookupError(username)
        return f"{username}, read {self.reads}"


@pytest.fixture
def read() -> Iterator[Read]:
    token = CALLER.set(None)
    yield once_per_request(Database().get_user)
    CALLER.reset(token)


def test_the_user_of_a_request_is_read_once(read: Read) -> None:
    CALLER.set(Caller("alice"))
    assert [read("alice"), read("alice")] == ["alice, read 1"] * 2


def test_the_next_request_reads_again(read: Read) -> None:
    for number in (1, 2):
        CALLER.set(Caller("alice"))
        assert read("alice") == f"alice, read {number}"


def test_another_user_is_always_read(read: Read) -> None:
    CALLER.set(Caller("alice"))
    assert [read("bob"), read("bob")] == ["bob, read 1", "bob, read 2"]


def test_a_route_that_changes_users_reads_each_time(read: Read) -> None:
    CALLER.set(Caller("alice", changes_users=True))
    assert [read("alice"), read("alice")] == ["alice, read 1", "alice, read 2"]


def test_outside_of_a_request_each_read_is_new(read: Read) -> None:
    assert [read("alice"), read("alice")] == ["alice, read 1", "alice, read 2"]


def test_an_error_is_not_remembered(read: Read) -> None:
    CALLER.set(Caller("deleted"))
    for _ in range(2):
        with pytest.raises(LookupError):
            read("deleted")
