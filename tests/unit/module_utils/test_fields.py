# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Compare the desired state with the current state."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._fields import (
    Map,
    camel,
    from_projects,
    get_at,
    make_link,
    merge_patch,
    merged,
    put_at,
    same,
    seen,
    to_api,
)

LINK = "projects/p/global/networks/n"


@pytest.mark.parametrize(
    ("desired", "current"),
    [
        (5, "5"),
        ("5", 5),
        (False, None),
        ([], None),
        ({}, None),
        ({"enabled": False}, None),
        (Map(), None),
        ({"a": 1}, {"a": 1, "server": "added"}),
        (Map(a="1"), {"a": "1", "goog-x": "y"}),
        (LINK, f"https://www.googleapis.com/compute/v1/{LINK}"),
        (f"https://compute.googleapis.com/compute/v1/{LINK}", LINK),
        ([{"a": 1}], [{"a": 1, "server": "added"}]),
    ],
)
def test_same(desired: Any, current: Any) -> None:
    assert same(desired, current)


@pytest.mark.parametrize(
    ("desired", "current"),
    [
        (True, None),
        (True, "True"),
        (False, True),
        (1, True),
        ("a", None),
        (None, "a"),
        ([], ["a"]),
        (["a"], ["a", "b"]),
        (["a", "b"], ["b", "a"]),
        (Map(a="1"), {"a": "1", "b": "2"}),
        (Map(), {"b": "2"}),
        ({"a": {"b": 1}}, {"a": {"b": 2}}),
        ({"a": {"b": 1}}, {"a": 1}),
        (LINK, "https://www.googleapis.com/compute/v1/projects/p/global/networks/m"),
        ("https://example.com/projects/p", "https://example.org/projects/p"),
    ],
)
def test_different(desired: Any, current: Any) -> None:
    assert not same(desired, current)


def test_sets() -> None:
    assert same(["a", "b", "a"], ["b", "a"], unordered=True)
    assert not same(["a"], ["a", "0.0.0.0/0"], unordered=True)
    tcp = {"IPProtocol": "tcp", "ports": ["443", "80"]}
    assert same([{"IPProtocol": "tcp", "ports": ["80", "443"]}], [tcp], unordered=True)
    assert same([{"IPProtocol": "tcp"}], [tcp], unordered=True)
    assert not same([{"IPProtocol": "tcp"}], [tcp], unordered=True, exact=True)
    assert same([{"IPProtocol": "tcp", "ports": []}], [{"IPProtocol": "tcp"}], unordered=True, exact=True)


def test_in_a_structure_that_is_compared_whole_false_and_zero_count() -> None:
    # Lifecycle rules of a bucket: one deletes old noncurrent versions, the other one deletes every old object.
    careful, careless = {"age": 30, "isLive": False}, {"age": 30}
    assert not same(careless, careful, exact=True)
    assert not same(careful, careless, exact=True)
    assert not same([careless], [careful], unordered=True, exact=True)
    assert not same({"age": 0}, {}, exact=True)
    assert same(careful, careful | {"matchesPrefix": []}, exact=True)
    assert same({"enabled": False}, {})


def test_a_diff_shows_only_given_keys() -> None:
    assert seen({"a": 1}, {"a": 2, "server": "added"}) == {"a": 2}
    assert seen({"a": 1}, {"a": "1", "server": "added"}) == {"a": 1}
    assert seen(Map(a="1"), {"a": "1", "b": "2", "goog-x": "y"}) == {"a": "1", "b": "2"}
    assert seen([{"a": 1}], [{"a": "1", "server": "added"}, {"a": 2}]) == [{"a": 1}, {"a": 2}]
    assert seen("x", f"https://www.googleapis.com/compute/v1/{LINK}") == LINK


def test_spells_options_as_the_api_does() -> None:
    spec = {"options": {"ip_protocol": {}, "log_config": {"options": {"enable": {}}}, "labels": {}}}
    value = {"ip_protocol": "tcp", "log_config": {"enable": True}, "labels": {"snake_case": 1}, "unset": None}
    names = {"ip_protocol": "IPProtocol"}
    assert to_api([value], spec, names) == [
        {"IPProtocol": "tcp", "logConfig": {"enable": True}, "labels": {"snake_case": "1"}}
    ]
    assert camel("private_ip_google_access") == "privateIpGoogleAccess"


def test_links() -> None:
    params = {"project": "p"}
    template = "projects/{project}/global/networks/{}"
    assert make_link("n", template, params) == LINK
    assert make_link(LINK, template, params) == LINK
    assert make_link(["n", ""], template, params) == [LINK, ""]
    assert from_projects(f"https://sqladmin.googleapis.com/sql/v1beta4/{LINK}") == LINK


def test_paths() -> None:
    document: dict[str, Any] = {}
    put_at(document, "a.b", {"c": 1})
    put_at(document, "a.b", {"d": 2})
    put_at(document, "a.e", Map(x="y"))
    assert document == {"a": {"b": {"c": 1, "d": 2}, "e": {"x": "y"}}}
    assert get_at(document, "a.b.d") == 2
    assert get_at(document, "a.x.d") is None
    assert get_at({"a": None}, "a.b") is None


def test_updates() -> None:
    current = {"a": 1, "b": {"c": 1, "d": 2}, "labels": {"x": "1", "goog-y": "2"}}
    desired = {"b": {"c": 3}, "labels": Map(z="1")}
    assert merge_patch(current, desired) == {"b": {"c": 3}, "labels": {"z": "1", "x": None}}
    assert merged(current, desired) == {"a": 1, "b": {"c": 3, "d": 2}, "labels": {"z": "1", "goog-y": "2"}}
