# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The release that an upgrade selects from a scripted package index, and its lock."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _release
from ansible_collections.mlops.mlflow_gcp.plugins.modules import mlflow_release

from tests.unit.harness import Play

INDEX = "https://index.example/simple"
PARTS = ("mlflow-skinny", "mlflow-tracing")
LOCK = "mlflow=={} \\\n    --hash=sha256:00\n"


def link(package: str, version: str, *, yanked: str | None = None, python: str = ">=3.10") -> str:
    name = f"{package.replace('-', '_')}-{version}-py3-none-any.whl"
    extra = "" if yanked is None else f' data-yanked="{escape(yanked)}"'
    return (
        f'<a href="https://files.example/x/{name}#sha256=0" data-requires-python="{escape(python)}"{extra}>{name}</a>'
    )


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as script:
        yield script


@pytest.fixture
def index(web: responses.RequestsMock) -> Any:
    """Return a function that serves versions of mlflow and its parts, as HTML."""

    def serve(*versions: str, skinny: tuple[str, ...] | None = None, **marks: Any) -> None:
        own = [link("mlflow", each, **marks.get(each.replace(".", "_"), {})) for each in versions]
        page(web, "mlflow", "\n".join(own))
        for part in PARTS:
            listed = skinny if skinny is not None and part == "mlflow-skinny" else versions
            page(web, part, "\n".join(link(part, each) for each in listed))

    return serve


def page(web: responses.RequestsMock, package: str, body: str, **options: Any) -> None:
    web.get(f"{INDEX}/{package}/", body=body, content_type="text/html; charset=utf-8", **options)


@pytest.fixture
def run(play: Play, tmp_path: Path) -> Any:
    """Return a function that runs the module with a role that ships the lock of 3.17.2."""
    source = tmp_path / "files"
    source.mkdir()
    (source / "requirements.in").write_text("# requirements\nmlflow[auth]==3.17.2\nuvloop\n")
    (source / "requirements-3.17.2.txt").write_text(LOCK.format("3.17.2"))

    def start(**params: Any) -> dict[str, Any]:
        mine = {"index_url": INDEX, "source": str(source), "directory": str(tmp_path / "kept")}
        return play(mlflow_release, project=None, auth_kind=None, access_token=None, **mine | params)

    return start


@pytest.fixture
def uv(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Replace uv by a function that writes a lock; return the calls."""
    calls: list[Any] = []

    def compiled(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        calls.append((command, options))
        version = options["input"].split("==")[1].split()[0]
        Path(command[-1]).write_text(LOCK.format(version))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(mlflow_release.subprocess, "run", compiled)
    return calls


@pytest.mark.parametrize(
    ("channel", "expected"), [("patch", "3.16.2"), ("minor", "3.18.0"), ("latest", "4.0.0"), ("pinned", "3.16.0")]
)
def test_a_channel_selects_its_newest_release(index: Any, run: Any, channel: str, expected: str) -> None:
    index("2.22.5", "3.16.0", "3.16.2", "3.16.10rc1", "3.18.0", "4.0.0", "4.1.0rc0")
    result = run(channel=channel, version="3.16.0", current="3.16.0", check=True)
    assert (result["version"], result["upgrade"]) == (expected, expected != "3.16.0")
    assert result["skipped"] == {}


def test_versions_are_numbers_not_texts(index: Any, run: Any) -> None:
    index("3.9.0", "3.10.0")
    assert run(channel="latest", current="3.9.0", check=True)["version"] == "3.10.0"


def test_yanked_and_incomplete_releases_are_skipped_with_the_reason(index: Any, run: Any) -> None:
    index(
        *("3.17.1", "3.17.2", "3.18.0", "3.18.1", "3.18.2"),
        skinny=("3.17.1", "3.17.2", "3.18.1", "3.18.2"),
        **{"3_18_1": {"yanked": 'broken "UI"'}, "3_18_2": {"python": ">=3.12"}},
    )
    result = run(channel="latest", current="3.17.1")
    assert (result["version"], result["locked"], result["changed"]) == ("3.17.2", "shipped", False)
    assert result["skipped"] == {
        "3.18.2": "needs Python >=3.12",
        "3.18.1": 'yanked: broken "UI"',
        "3.18.0": "mlflow-skinny 3.18.0 is missing",
    }


def test_the_channel_starts_from_the_newer_of_served_and_wanted(index: Any, run: Any) -> None:
    index("3.16.0", "3.16.1", "3.17.1", "3.17.2")
    assert run(channel="patch", version="3.17.1", current="3.16.0")["version"] == "3.17.2"
    assert run(channel="patch", version="3.16.0", current="3.17.1")["version"] == "3.17.2"


ROLLED_BACK = {"version": "3.18.0", "since": "today"}


def test_a_channel_skips_a_rolled_back_release_for_the_next_best_one(index: Any, run: Any) -> None:
    """3.18.0 was rolled back. The security fix of the deployed version is still selected."""
    index("3.17.2", "3.17.3", "3.18.0")
    recorded = {"skipped": ["3.19.0"]}
    result = run(
        channel="latest", version="3.17.2", current="3.17.2", rolled_back=ROLLED_BACK, recorded=recorded, check=True
    )
    assert (result["version"], result["upgrade"], result["refused"]) == ("3.17.3", True, "")
    assert (result["skipped"], result["message"]) == ({"3.18.0": "rolled back"}, "")


def test_a_release_after_the_rolled_back_one_is_selected(index: Any, run: Any) -> None:
    index("3.17.2", "3.18.0", "3.18.1")
    result = run(channel="minor", current="3.17.2", rolled_back={"version": "3.18"}, check=True)
    assert (result["version"], result["skipped"]) == ("3.18.1", {})


@pytest.mark.parametrize("wanted", ["3.17.2", "3.18.0"])
def test_the_deployed_release_stays_if_all_newer_ones_were_rolled_back(index: Any, run: Any, wanted: str) -> None:
    """This also applies if mlflow_version names the rolled-back release, which a channel treats as a minimum."""
    index("3.17.2", "3.18.0")
    result = run(
        channel="patch" if wanted == "3.18.0" else "minor", version=wanted, current="3.17.2", rolled_back=ROLLED_BACK
    )
    assert (result["version"], result["upgrade"], result["refused"]) == ("3.17.2", False, "3.18.0")
    assert result["skipped"] == {"3.18.0": "rolled back"}


@pytest.mark.parametrize("channel", ["pinned", "latest"])
@pytest.mark.parametrize(
    ("vm", "recorded", "again", "refused"),
    [
        ({}, {}, False, ""),
        ({"version": "3.18.0"}, {}, False, "3.18.0"),
        ({}, {"rolled_back_from": "3.18.0"}, False, "3.18.0"),
        ({}, {"skipped": ["3.18.0"]}, False, "3.18.0"),
        ({"version": "3.18.0"}, {"rolled_back_from": "3.18.0"}, True, ""),
        ({"version": "3.17.3"}, {"rolled_back_from": "3.17.4"}, False, ""),
    ],
)
def test_a_rolled_back_release_is_excluded_by_either_record(
    index: Any, run: Any, channel: str, vm: Any, recorded: Any, again: bool, refused: str
) -> None:
    index("3.17.2", "3.18.0")
    given = {"channel": channel, "version": "3.18.0" if channel == "pinned" else "3.17.2", "current": "3.17.2"}
    result = run(**given, rolled_back=vm, recorded=recorded, again=again, check=True)
    assert (result["refused"], result["upgrade"]) == (refused, not refused)
    assert result["changed"] is not bool(refused), "a refused release is not locked"


def test_of_several_rolled_back_releases_the_newest_is_named(index: Any, run: Any) -> None:
    index("3.17.2", "3.18.0", "3.18.1", **{"3_18_2": {"yanked": "broken"}})
    result = run(channel="latest", current="3.17.2", rolled_back=ROLLED_BACK, recorded={"skipped": ["3.18.1"]})
    assert result["refused"] == "3.18.1"


@pytest.mark.parametrize(
    ("vm", "recorded", "when"),
    [
        (ROLLED_BACK, {}, "on today"),
        (ROLLED_BACK, {"rolled_back_from": "3.18.0", "since": "yesterday"}, "on today"),
        ({}, {"rolled_back_from": "3.18.0", "since": "today"}, "on today"),
        ({}, {"skipped": ["3.18.0"], "since": "today"}, "before MLflow 3.17.2 was installed"),
    ],
)
def test_the_message_has_the_time_of_the_rollback(index: Any, run: Any, vm: Any, recorded: Any, when: str) -> None:
    index("3.17.2", "3.18.0")
    result = run(channel="latest", current="3.17.2", rolled_back=vm, recorded=recorded)
    assert result["message"] == (
        f"MLflow 3.17.2 is deployed. MLflow 3.18.0 was rolled back {when}, so it is not selected again automatically."
        " To upgrade to MLflow 3.18.0 in spite of the rollback: -e upgrade_again=true"
    )


def test_the_message_lists_the_skipped_releases(index: Any, run: Any) -> None:
    index("3.17.2", "3.18.0", **{"3_18_0": {"yanked": "broken"}})
    result = run(channel="latest", current="3.17.2")
    assert result["message"] == (
        "MLflow 3.17.2 is deployed. The channel latest has no newer release. Skipped: 3.18.0 (yanked: broken)."
    )
    index("3.17.2")
    assert run(channel="pinned", version="3.17.2", current="3.17.2")["message"].endswith("pinned has no newer release.")


def test_the_deployed_release_cannot_be_excluded(index: Any, run: Any) -> None:
    index("3.17.2", "3.18.0")
    assert not run(channel="latest", current="3.18.0", rolled_back=ROLLED_BACK)["refused"]
    wrong = run(channel="latest", current="3.17.2", rolled_back={"version": "three"}, fails=True)
    assert "rolled_back is 'three'" in wrong["msg"]


def test_mlflow_2_has_no_tracing_part(web: responses.RequestsMock, run: Any) -> None:
    page(web, "mlflow", link("mlflow", "2.22.5"))
    page(web, "mlflow-skinny", link("mlflow-skinny", "2.22.5"))
    assert run(channel="minor", current="2.22.0", check=True)["version"] == "2.22.5"


def test_no_newer_release_is_no_change_if_the_index_lost_the_deployed_release(index: Any, run: Any, uv: Any) -> None:
    index("3.16.0")
    result = run(channel="minor", current="3.17.0")
    assert (result["version"], result["upgrade"], result["changed"]) == ("3.17.0", False, False)
    assert result["requirements_file"] == ""
    assert not uv


def test_a_deployed_pinned_release_needs_no_request(web: responses.RequestsMock, run: Any) -> None:
    assert not run(channel="pinned", version="3.17.2", current="3.17.2")["upgrade"]
    assert not web.calls


def test_a_json_index(web: responses.RequestsMock, run: Any) -> None:
    for package in ("mlflow", *PARTS):
        stem = package.replace("-", "_")
        files = [
            {"filename": f"{stem}-3.17.2-py3-none-any.whl", "yanked": False, "requires-python": ">=3.10"},
            {"filename": f"{stem}-3.18.0-py3-none-any.whl", "yanked": "no good"},
            {"filename": f"{stem}-3.19.0-py3-none-any.whl", "yanked": True},
            {"filename": f"{stem}-3.20.0.tar.gz"},
        ]
        kind = "application/vnd.pypi.simple.v1+json"
        web.get(f"{INDEX}/{package}/", json={"meta": {"api-version": "1.1"}, "files": files}, content_type=kind)
    result = run(channel="latest", current="3.17.0")
    assert (result["version"], result["skipped"]) == ("3.17.2", {"3.19.0": "yanked", "3.18.0": "yanked: no good"})
    assert "application/vnd.pypi.simple.v1+json" in web.calls[0].request.headers["Accept"]


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"version": "3.18.0", "current": "3.17.2"}, ["3.18.0", "mlflow-skinny 3.18.0 is missing", "mlflow_version"]),
        ({"version": "3.18.1", "current": "3.17.2"}, ["3.18.1", "yanked: broken", "mlflow_version"]),
        ({"version": "9.9.9", "current": "3.17.2"}, ["mlflow 9.9.9 is missing", "mlflow_version"]),
        ({"version": "3.16.0", "current": "3.17.2"}, ["replace MLflow 3.17.2 by the older 3.16.0", "rollback.yml"]),
        ({"version": "2.22.5", "minimum": "3.16.0"}, ["mlflow_minimum_version 3.16.0"]),
        ({"version": "three", "current": "3.17.2"}, ["version is 'three'"]),
        ({"current": "3.17.2"}, ["Set mlflow_version"]),
    ],
)
def test_a_pinned_release_that_cannot_be_deployed_is_refused(
    index: Any, run: Any, options: dict[str, str], parts: list[str]
) -> None:
    index("2.22.5", "3.16.0", "3.17.2", "3.18.0", "3.18.1", skinny=("3.18.1",), **{"3_18_1": {"yanked": "broken"}})
    message = run(channel="pinned", fails=True, **options)["msg"]
    assert all(each in message for each in parts), message


def test_nothing_below_the_minimum_is_chosen(index: Any, run: Any) -> None:
    index("2.22.4", "2.22.5", "3.16.0")
    message = run(channel="patch", version="2.22.4", minimum="3.16.0", fails=True)["msg"]
    assert "channel patch, 2.22.4 or newer" in message
    assert "upgrade_channel" in message


@pytest.mark.parametrize(
    ("response", "cause"),
    [
        ({"status": 404}, "HTTP 404, the package does not exist"),
        ({"status": 403, "body": "no\nentry"}, "HTTP 403: no entry"),
        ({"status": 503, "body": "later"}, "HTTP 503: later"),
        ({"body": requests.ConnectionError("refused")}, "no response (ConnectionError: refused"),
        ({"body": "{}", "content_type": "application/json"}, "type 'application/json'"),
        ({"body": "{}", "content_type": "application/vnd.pypi.simple.v1+json"}, "no"),
        ({"body": '<meta name="pypi:repository-version" content="2.0">', "content_type": "text/html"}, "format 2.0"),
    ],
)
def test_a_failing_index_is_named_without_its_password(
    web: responses.RequestsMock, run: Any, monkeypatch: pytest.MonkeyPatch, response: dict[str, Any], cause: str
) -> None:
    monkeypatch.setattr(_release, "ATTEMPTS", 1)
    web.get("https://me:secret@index.example/simple/mlflow/", **response)
    web.get(f"{INDEX}/mlflow/", **response)
    result = run(channel="latest", current="3.17.2", index_url="https://me:secret@index.example/simple/", fails=True)
    message = result["msg"]
    assert "Cannot read mlflow from the package index https://***@index.example/simple: " in message
    assert cause in message
    assert "upgrade_index_url" in message
    assert "secret" not in message


def test_the_default_index_is_the_index_of_uv(
    web: responses.RequestsMock, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", INDEX)
    page(web, "mlflow", link("mlflow", "3.17.2"))
    for part in PARTS:
        page(web, part, link(part, "3.17.2"))
    assert run(channel="latest", current="3.17.1", index_url="")["version"] == "3.17.2"


def test_uv_without_an_index_is_reported(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess([], 2, "", "error: uv.toml is malformed")
    monkeypatch.setattr(mlflow_release.subprocess, "run", lambda *_command, **_options: done)
    message = run(channel="latest", current="3.17.1", index_url="", fails=True)["msg"]
    assert "uv.toml is malformed" in message
    assert "Set upgrade_index_url" in message


def test_the_invocation_is_shown_without_the_password(web: responses.RequestsMock, run: Any) -> None:
    url = "https://me:secret@index.example/simple"
    for package in ("mlflow", *PARTS):
        web.get(f"{url}/{package}/", body=link(package, "3.17.2"), content_type="text/html")
    result = run(channel="latest", current="3.17.1", index_url=url)
    assert "me:" in str(result["invocation"])
    assert "secret" not in str(result)


def test_a_failed_request_to_the_index_is_repeated(
    web: responses.RequestsMock, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_release.Retry, "sleep", lambda *_: None)
    page(web, "mlflow", "out of order", status=503)
    page(web, "mlflow", link("mlflow", "3.17.2"))
    assert run(channel="latest", current="3.17.2")["version"] == "3.17.2"


def test_a_release_that_is_not_shipped_is_locked_once(index: Any, run: Any, uv: list[Any], tmp_path: Path) -> None:
    index("3.16.0", "3.16.1")
    lock = tmp_path / "kept" / "requirements-3.16.1.txt"
    planned = run(channel="patch", current="3.16.0", check=True)
    assert (planned["locked"], planned["changed"], planned["requirements_file"]) == ("made", True, "")
    assert not lock.parent.exists()
    assert not uv

    made = run(channel="patch", current="3.16.0")
    assert (made["changed"], made["requirements_file"]) == (True, str(lock))
    assert lock.read_text() == LOCK.format("3.16.1")
    assert stat.S_IMODE(lock.parent.stat().st_mode) == 0o700
    assert list(lock.parent.iterdir()) == [lock]
    ((command, options),) = uv
    assert options["input"] == "# requirements\nmlflow[auth]==3.16.1\nuvloop\n"
    assert {"--universal", "--generate-hashes", "--only-binary"} < set(command)
    assert INDEX not in command
    assert options["env"]["UV_DEFAULT_INDEX"] == INDEX

    again = run(channel="patch", current="3.16.0")
    assert (again["locked"], again["changed"], again["requirements_file"]) == ("kept", False, str(lock))
    assert len(uv) == 1


def test_an_incomplete_lock_is_replaced(index: Any, run: Any, uv: list[Any], tmp_path: Path) -> None:
    index("3.16.1")
    lock = tmp_path / "kept" / "requirements-3.16.1.txt"
    lock.parent.mkdir()
    lock.write_text("mlflow==3.16.1\n")
    assert run(channel="latest", current="3.16.0")["locked"] == "made"
    assert lock.read_text() == LOCK.format("3.16.1")


def test_a_failed_lock_leaves_no_file(
    web: responses.RequestsMock, run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = "https://me:secret@index.example/simple"
    for package in ("mlflow", *PARTS):
        web.get(f"{url}/{package}/", body=link(package, "3.16.1"), content_type="text/html")

    def fails(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        Path(command[-1]).write_text("half")
        return subprocess.CompletedProcess(command, 1, "", f"error: cannot reach {url}")

    monkeypatch.setattr(mlflow_release.subprocess, "run", fails)
    message = run(channel="latest", current="3.16.0", index_url=url, fails=True)["msg"]
    assert "uv cannot lock MLflow 3.16.1" in message
    assert "cannot reach https://***@index.example/simple" in message
    assert "secret" not in message
    assert list((tmp_path / "kept").iterdir()) == []


def test_without_uv_the_message_has_a_remedy(
    index: Any, run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    index("3.16.1")
    monkeypatch.setattr(mlflow_release.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "pip install uv" in run(channel="latest", current="3.16.0", fails=True)["msg"]


def test_a_given_lock_is_used_for_the_pinned_release_only(index: Any, run: Any, tmp_path: Path) -> None:
    index("3.16.1", "3.17.2")
    own = tmp_path / "own.txt"
    own.write_text(LOCK.format("3.17.2"))
    options = {"version": "3.17.2", "current": "3.16.0", "requirements_file": str(own)}
    pinned = run(channel="pinned", **options)
    assert (pinned["locked"], pinned["requirements_file"]) == ("given", str(own))
    assert run(channel="latest", **options)["locked"] == "shipped"
    own.write_text(LOCK.format("3.16.1"))
    message = run(channel="pinned", fails=True, **options)["msg"]
    assert "mlflow_requirements_file" in message
    assert "does not lock mlflow==3.17.2" in message


def test_uv_accepts_these_arguments(tmp_path: Path) -> None:
    """The installed uv accepts the command line. An empty directory replaces the index."""
    found = mlflow_release.find_uv()
    command = [found, *mlflow_release.COMPILE, "--no-index", "--python-version", "3.11", "-", "--output-file"]
    done = subprocess.run([*command, str(tmp_path / "out")], input="", text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
