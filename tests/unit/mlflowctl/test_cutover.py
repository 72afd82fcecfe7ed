# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The blue/green cutover: its steps, failures at each step and kills at each action."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflowctl.cutover import requests
from mlflowctl.cutover.status import status
from mlflowctl.errors import FailedError

from .fake_system import FakeSystem, KilledError

OLD, SAME, NEW = "3.17.2", "3.17.3", "3.18.0"


@pytest.fixture
def system(tmp_path: Path) -> FakeSystem:
    """Return a VM with 3.17.2 in the active slot blue. 3.17.3 has the same schema, 3.18.0 another one."""
    return make(tmp_path)


def make(root: Path) -> FakeSystem:
    system = FakeSystem(root)
    system.want(system.release(OLD, 1))
    system.release(SAME, 1)
    system.release(NEW, 2)
    system.switch().start()
    assert serving(system) == ("blue", OLD)
    system.log.clear()
    system.deeds = 0
    return system


def path(version: str) -> str:
    return f"/opt/mlflow/releases/{version}-0123456789ab"


def serving(system: FakeSystem) -> tuple[str | None, str | None]:
    """Return the active slot and its version, after checks that the rest of the VM is consistent."""
    switch = system.switch()
    slot = switch.traffic.target()
    assert slot is not None
    assert switch.slots.active() == slot
    assert list(system.running) == [slot], "only the slot with the traffic must run"
    assert switch.slots.wanted_release() == switch.slots.release(slot), "the active slot must run the desired release"
    assert not switch.slots.unseen(slot)
    assert switch.journal.entry() is None
    assert switch.journal.load("request") is None
    release = switch.slots.release(slot)
    assert release is not None
    assert system.code[release] == system.databases["mlflow"]["schema"]
    return slot, switch.slots.version(release)


def result(system: FakeSystem) -> dict[str, object]:
    document = system.switch().journal.load("result")
    assert document is not None
    return document


def rolled_back(system: FakeSystem) -> object:
    """Return the rolled-back version in the output of `status`."""
    return (status(system.switch())["rolled_back"] or {}).get("version")


def test_reload(system: FakeSystem) -> None:
    system.want(path(SAME), workers=3)
    assert system.switch().slots.unseen("blue") == ["release", "server.json"]
    system.ask("reload")
    system.switch().run()
    assert serving(system) == ("green", SAME)
    assert result(system)["ok"] is True
    assert system.switch().slots.settings("green")["workers"] == 3
    # The new slot must be ready before the move of the traffic. The old slot must stop after the move.
    order = [line for line in system.log if "mlflow@" in line or "mlflow.sock" in line or " ready " in line]
    moved = order.index("link mlflow.sock /run/mlflow-green/mlflow.sock")
    assert any(" ready --slot green" in line for line in order[:moved])
    assert "systemctl stop mlflow@blue.service" in order[moved:]
    assert "systemctl stop mlflow@blue.service" not in order[:moved]


def test_request_while_the_unit_is_ending(system: FakeSystem) -> None:
    """ExecStopPost= after a complete cutover does not treat the next request as an interrupted one."""
    system.want(path(SAME))
    system.ask("reload")
    system.switch().recover(succeeded=True)
    assert system.switch().journal.load("request")
    system.switch().run()
    assert serving(system) == ("green", SAME)


def test_reload_refuses_another_schema(system: FakeSystem) -> None:
    system.want(path(NEW))
    system.ask("reload")
    system.switch().run()
    assert serving(system) == ("blue", OLD)
    assert (result(system)["code"], result(system)["step"]) == (3, "compare")
    assert "Run playbooks/upgrade.yml" in str(result(system)["cause"])
    assert system.databases == {"mlflow": {"schema": 1, "rows": ["before"]}}


def test_upgrade_with_migration(system: FakeSystem) -> None:
    system.want(path(NEW))
    system.ask("upgrade", watch=10)
    system.switch().run()
    assert serving(system) == ("green", NEW)
    told = result(system)
    assert (told["ok"], told["migrated"], told["held_seconds"]) == (True, True, 1.0)
    assert system.databases["mlflow_before"]["schema"] == 1
    assert system.switch().journal.load("previous") == {
        "id": "upgrade-1",
        "release": path(OLD),
        "version": OLD,
        "migrated": True,
    }


def test_no_server_runs_during_the_exchange_of_the_databases(system: FakeSystem) -> None:
    system.want(path(NEW))
    system.ask("upgrade")
    system.switch().run()
    copied = next(i for i, line in enumerate(system.log) if "schema copy" in line)
    assert system.log.index("remove mlflow.sock") < system.log.index("systemctl stop mlflow@blue.service") < copied
    assert copied < system.log.index("link mlflow.sock /run/mlflow-green/mlflow.sock")


ALWAYS = [("start", "start"), ("smoke", "check"), ("artifacts", "watch")]
MIGRATING = [("copy", "copy"), ("migrate", "migrate")]


@pytest.mark.parametrize(
    ("version", "breaks", "step"),
    [(SAME, *each) for each in ALWAYS] + [(NEW, *each) for each in ALWAYS + MIGRATING],
)
def test_a_failed_step_is_rolled_back(system: FakeSystem, version: str, breaks: str, step: str) -> None:
    migrates = version == NEW
    system.want(path(version))
    system.broken.add((breaks, path(OLD if breaks == "copy" else version)))
    system.ask("upgrade", watch=10)
    system.switch().run()
    assert serving(system) == ("blue", OLD)
    told = result(system)
    assert (told["ok"], told["step"], told["code"]) == (False, step, 1)
    assert told["cause"]
    # Rows that the new server accepted are kept.
    assert ("mlflow_failed" in system.databases) == (migrates and step == "watch") == told["kept_failed"]
    assert system.databases["mlflow"]["rows"] == ["before"]
    # Only a release that clients have used is recorded as rolled back.
    assert rolled_back(system) == (version if step == "watch" else None)


def test_a_successful_upgrade_clears_the_rolled_back_release(system: FakeSystem) -> None:
    for breaks in ({("artifacts", path(NEW))}, set()):
        system.broken = breaks
        system.want(path(NEW))
        system.ask("upgrade", watch=10)
        system.switch().run()
        assert rolled_back(system) == (NEW if breaks else None)


def test_the_active_release_is_never_recorded_as_rolled_back(system: FakeSystem) -> None:
    system.broken.add(("artifacts", path(OLD)))
    system.ask("upgrade", watch=10)
    system.switch().run()
    assert (result(system)["step"], rolled_back(system)) == ("watch", None)


def test_a_crash_during_the_watch_is_rolled_back(system: FakeSystem) -> None:
    system.want(path(NEW))
    start = system.clock

    def crash() -> None:
        if system.clock > start + 8 and "green" in system.running:
            system.running["green"] = 99

    system.on_sleep = crash
    system.ask("upgrade", watch=30)
    system.switch().run()
    assert serving(system) == ("blue", OLD)
    assert (result(system)["step"], result(system)["kept_failed"]) == ("watch", True)
    assert "crashed" in str(result(system)["cause"])


def busy(system: FakeSystem, slot: str) -> None:
    """Give a slot an in-flight request that does not end."""
    table = system.paths.root / "proc/net/unix"
    table.parent.mkdir(parents=True)
    table.write_text(f"0: 00000003 00000000 00000000 0001 03 1002 /run/mlflow-{slot}/mlflow.sock\n", encoding="utf-8")


def test_a_crash_during_the_drain_is_rolled_back(system: FakeSystem) -> None:
    """systemd has restarted the server, and it is ready, long before the watch starts."""
    busy(system, "blue")

    def crash() -> None:
        switch = system.switch()
        if switch.traffic.target() == "green" and switch.traffic.connections("blue"):
            system.running["green"] = 99

    system.on_sleep = crash
    system.want(path(SAME))
    system.ask("upgrade", watch=10)
    system.switch().run()
    assert serving(system) == ("blue", OLD)
    told = result(system)
    assert (told["ok"], told["step"], told["moved"], told["kept_failed"]) == (False, "watch", True, False)
    assert "crashed" in str(told["cause"])
    assert rolled_back(system) == SAME
    # The old server was never stopped, so it answers its in-flight requests.
    assert "systemctl stop mlflow@blue.service" not in system.log


@pytest.mark.parametrize("version", [SAME, NEW])
def test_a_crash_with_the_first_request_is_rolled_back(
    system: FakeSystem, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    link = system.link

    def crash(place: Path, target: str) -> None:
        link(place, target)
        if target == "/run/mlflow-green/mlflow.sock":
            system.running["green"] = 99

    monkeypatch.setattr(system, "link", crash)
    system.want(path(version))
    system.ask("upgrade", watch=10)
    system.switch().run()
    assert serving(system) == ("blue", OLD)
    assert (result(system)["step"], result(system)["kept_failed"]) == ("watch", version == NEW)
    assert "crashed" in str(result(system)["cause"])


def test_a_missing_approval_is_rolled_back(system: FakeSystem) -> None:
    system.want(path(SAME))
    system.ask("upgrade", approval_timeout=60)
    system.switch().run()
    assert serving(system) == ("blue", OLD)
    assert result(system)["cause"] == "no approval from the control node within 60 s"


@pytest.mark.parametrize(
    ("slow", "step"), [({"heads": 101}, "compare"), ({"copy": 95}, "copy"), ({"copy": 60, "migrate": 40}, "migrate")]
)
def test_the_time_limit_ends_an_upgrade(system: FakeSystem, slow: dict[str, float], step: str) -> None:
    """The VM enforces the limit without the control node. The rollback has no limit."""
    system.want(path(NEW))
    system.slow = {**slow, "restore": 1000}
    system.on_sleep = lambda: setattr(system, "clock", system.clock + 5)
    start = system.clock
    system.ask("upgrade", timeout=100)
    system.switch().run()
    assert serving(system) == ("blue", OLD)
    assert (result(system)["ok"], result(system)["step"]) == (False, step)
    expected = f"{step} did not end within the 100 s that an upgrade may take (upgrade_timeout_seconds)"
    assert result(system)["cause"] == expected
    assert system.clock - start < 110 + (0 if step == "compare" else 1000)
    assert system.databases["mlflow"]["rows"] == ["before"]


def test_no_step_starts_after_the_time_limit(system: FakeSystem) -> None:
    system.want(path(NEW))
    system.on_sleep = lambda: setattr(system, "clock", system.clock + 100)
    system.ask("upgrade", timeout=100)
    system.switch().run()
    assert serving(system) == ("blue", OLD)
    assert (result(system)["step"], result(system)["code"]) == ("copy", 1)
    assert not any("schema copy" in line for line in system.log)


def test_a_failure_before_the_time_limit_keeps_its_cause(system: FakeSystem) -> None:
    system.want(path(NEW))
    system.broken.add(("migrate", path(NEW)))
    system.ask("upgrade", timeout=100)
    system.switch().run()
    assert result(system)["cause"] == "migrate: it cannot be done"


@pytest.mark.parametrize(("identity", "ends_with"), [("upgrade-1", NEW), ("upgrade-0", OLD)])
def test_an_approval_is_valid_for_one_cutover(system: FakeSystem, identity: str, ends_with: str) -> None:
    system.want(path(NEW))

    def approve() -> None:
        entry = system.switch().journal.entry()
        if entry and entry.step == "ready":
            system.switch().journal.save("approval", {"id": identity})

    system.on_sleep = approve
    system.ask("upgrade", approval_timeout=60)
    system.switch().run()
    assert serving(system)[1] == ends_with


@pytest.mark.parametrize("version", [SAME, NEW])
def test_rollback_by_hand(system: FakeSystem, version: str) -> None:
    system.want(path(version))
    system.ask("upgrade")
    system.switch().run()
    system.databases["mlflow"]["rows"].append("after")
    system.ask("rollback")
    system.switch().run()
    assert serving(system) == ("blue", OLD)
    assert result(system)["ok"] is True
    assert system.switch().journal.load("previous") is None
    assert rolled_back(system) == version
    if version == NEW:
        assert system.databases["mlflow"]["rows"] == ["before"]
        assert system.databases["mlflow_failed"]["rows"] == ["before", "after"]
    system.ask("rollback")
    system.switch().run()
    assert serving(system) == ("blue", OLD)
    assert (result(system)["code"], result(system)["cause"]) == (3, "there is no release to roll back to")


def test_rollback_without_the_kept_databases_changes_nothing(system: FakeSystem) -> None:
    system.want(path(NEW))
    system.ask("upgrade")
    system.switch().run()
    del system.databases["mlflow_before"]
    system.ask("rollback")
    system.switch().run()
    assert serving(system) == ("green", NEW)
    assert (result(system)["code"], result(system)["step"]) == (3, "restore")
    # A kill before the cutover detects that the kept databases do not exist.
    restores = next(i for i in range(1, 99) if killed_at(system, "rollback", i) == "restore")
    assert restores
    system.switch().recover()
    system.switch().run()
    assert serving(system) == ("green", NEW)


def killed_at(system: FakeSystem, kind: str, moment: int) -> str | None:
    """Kill a cutover at its n-th action. Return the step if it is `restore`, otherwise recover and return None."""
    system.ask(kind)
    system.kill_at, system.deeds = moment, 0
    with pytest.raises(KilledError):
        system.switch().run()
    system.kill_at = None
    entry = system.switch().journal.entry()
    if entry and entry.step == "restore":
        return entry.step
    system.switch().recover()
    system.switch().run()
    return None


def test_a_rollback_completes_if_the_server_does_not_start(system: FakeSystem) -> None:
    system.want(path(NEW))
    system.ask("upgrade")
    system.switch().run()
    system.broken.add(("start", path(OLD)))
    system.ask("rollback")
    system.switch().run()
    assert (result(system)["ok"], result(system)["step"]) == (False, "start")
    assert "the databases are restored, but" in str(result(system)["cause"])
    # systemd's Restart=always starts the server again.
    system.broken.clear()
    system.switch().slots.start("blue")
    assert serving(system) == ("blue", OLD)


def test_an_upgrade_to_the_active_release_keeps_the_previous_release(system: FakeSystem) -> None:
    system.want(path(NEW))
    for _ in range(2):
        system.ask("upgrade")
        system.switch().run()
    assert serving(system) == ("blue", NEW)
    previous = system.switch().journal.load("previous")
    assert previous is not None
    assert previous["version"] == OLD


@pytest.mark.parametrize(
    ("first", "breaks", "stays"), [(NEW, "copy", False), (NEW, "migrate", False), (SAME, "copy", True)]
)
def test_a_later_migration_ends_earlier_rollbacks(system: FakeSystem, first: str, breaks: str, stays: bool) -> None:
    """The copy of a migration replaces the kept databases. A previous release without kept databases stays."""
    system.want(path(first))
    system.ask("upgrade")
    system.switch().run()
    newest = system.release("3.19.0", 3)
    system.broken.add((breaks, path(first) if breaks == "copy" else newest))
    system.want(newest)
    system.ask("upgrade", "upgrade-2")
    system.switch().run()
    assert serving(system) == ("green", first)
    assert (system.switch().journal.load("previous") is not None) == stays


def test_a_failed_cutover_ends_without_a_running_old_server(system: FakeSystem) -> None:
    system.running.clear()
    system.broken.add(("start", path(SAME)))
    system.want(path(SAME))
    system.ask("reload")
    system.switch().run()
    assert serving(system) == ("blue", OLD)


def deeds(root: Path, kind: str, version: str) -> int:
    """Return the number of actions at which a cutover can be killed."""
    system = prepared(root, kind, version)
    system.switch().run()
    return system.deeds


def prepared(root: Path, kind: str, version: str) -> FakeSystem:
    system = make(root)
    system.want(path(version))
    if kind == "rollback":
        system.ask("upgrade")
        system.switch().run()
    system.ask(kind, **({"watch": 6} if kind == "upgrade" else {}))
    system.deeds = 0
    return system


@pytest.mark.parametrize("power", [False, True], ids=["killed", "power cut"])
@pytest.mark.parametrize(
    ("kind", "version"),
    [("reload", SAME), ("upgrade", SAME), ("upgrade", NEW), ("rollback", SAME), ("rollback", NEW)],
)
def test_killed_at_any_moment(tmp_path: Path, kind: str, version: str, power: bool) -> None:
    total = deeds(tmp_path / "all", kind, version)
    assert total > 20
    ends = set()
    for moment in range(1, total + 1):
        system = prepared(tmp_path / str(moment), kind, version)
        system.kill_at = moment
        with pytest.raises(KilledError):
            system.switch().run()
        # Between the kill and the recovery: a running server with a matching database, or maintenance mode.
        target = system.switch().traffic.target()
        assert target is None or target in system.running
        system.kill_at = None
        if power:
            system.power_cut()
            system.switch().start()
            # start() requests this unit if a cutover was interrupted.
            system.switch().run()
        else:
            system.switch().recover()
            system.switch().run()
        ends.add(serving(system)[1])
        assert result(system)["id"] == "upgrade-1"
        assert "mlflow_before" not in system.databases or system.code[path(OLD)] == 1
    assert ends == {OLD, version}, "early kills must roll back, late kills must complete"


def test_killed_during_the_rollback(tmp_path: Path) -> None:
    for moment in range(1, 200):
        system = prepared(tmp_path / str(moment), "upgrade", NEW)
        system.broken.add(("smoke", path(NEW)))
        system.kill_at = moment
        try:
            system.switch().run()
        except KilledError:
            # Also kill the recovery, one action later each time.
            for again in range(1, 60):
                system.kill_at, system.deeds = again, 0
                try:
                    system.switch().recover()
                    break
                except KilledError:
                    continue
            system.kill_at = None
            system.switch().recover()
            system.switch().run()
            assert serving(system) == ("blue", OLD), moment
        else:
            assert serving(system) == ("blue", OLD)
            return
    pytest.fail("the rollback never ended without a kill")


def test_the_old_server_restarts_with_its_old_configuration(system: FakeSystem) -> None:
    """A failed change has no effect on the next start of the active slot."""
    before = system.switch().slots.settings("blue")
    system.want(path(SAME), workers=99)
    system.broken.add(("start", path(SAME)))
    system.ask("reload")
    system.switch().run()
    assert serving(system) == ("blue", OLD)
    system.power_cut()
    system.switch().start()
    assert serving(system) == ("blue", OLD)
    assert system.switch().slots.settings("blue") == before


def test_started_moves_the_traffic_to_the_active_slot_only(system: FakeSystem) -> None:
    system.power_cut()
    system.switch().started("green")
    assert system.switch().traffic.target() is None
    system.switch().started("blue")
    assert system.switch().traffic.target() == "blue"


def test_drain_counts_the_connections_of_one_socket(system: FakeSystem) -> None:
    table = system.paths.root / "proc/net/unix"
    table.parent.mkdir(parents=True)
    lines = [
        "Num       RefCount Protocol Flags    Type St Inode Path",
        "0000000000000000: 00000002 00000000 00010000 0001 01 1001 /run/mlflow-blue/mlflow.sock",
        "0000000000000000: 00000003 00000000 00000000 0001 03 1002 /run/mlflow-blue/mlflow.sock",
        "0000000000000000: 00000002 00000000 00000000 0001 02 1005 /run/mlflow-blue/mlflow.sock",
        "0000000000000000: 00000003 00000000 00000000 0001 03 1003 /run/mlflow-green/mlflow.sock",
        "0000000000000000: 00000003 00000000 00000000 0001 03 1004",
    ]
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    traffic = system.switch().traffic
    assert (traffic.connections("blue"), traffic.connections("green")) == (2, 1)
    start = system.clock
    assert traffic.drain("blue", 30) == 2
    assert 30 <= system.clock - start < 33
    system.on_sleep = lambda: table.write_text(lines[0] + "\n", encoding="utf-8") and None
    assert traffic.drain("green", 30) == 0


def test_prune_keeps_used_releases(system: FakeSystem) -> None:
    for number in range(4):
        system.release(f"3.16.{number}", 1)
    assert system.switch().slots.prune(1, {path("3.16.0")}) != []
    left = {each.name.split("-")[0] for each in system.paths.releases.iterdir()}
    assert {OLD, "3.16.0"} <= left
    assert len(left) == 3


def test_prune_removes_incomplete_releases_on_request(system: FakeSystem) -> None:
    build, used = system.paths.releases / "3.20.0-0123456789ab", system.paths.releases / f"{OLD}-0123456789ab"
    (build / "bin").mkdir(parents=True)
    assert system.switch().slots.prune(9, set()) == []
    # An active release stays, even without its mark.
    (used / ".complete").unlink()
    assert system.switch().slots.prune(9, set(), interrupted=True) == [build.name]
    assert not build.exists()
    assert used.exists()


def test_a_request_that_is_refused_leaves_the_desired_release(system: FakeSystem) -> None:
    """The next run of site.yml must not cut over to a release that was only selected."""
    system.ask("reload")
    with pytest.raises(FailedError, match="another cutover is in progress"):
        requests.upgrade(system.switch(), system, path(NEW), {})
    assert system.switch().slots.wanted_release() == path(OLD)


def test_a_new_version_of_the_program_needs_a_cutover(system: FakeSystem) -> None:
    """The active slot starts with its own version until then, and unused versions are removed after that."""
    system.install("second")
    slots = system.switch().slots
    assert slots.unseen("blue") == ["program"]
    slots.prune_programs()
    assert slots.program("blue") == "/opt/mlflow/programs/first"
    system.ask("reload")
    system.switch().run()
    assert system.switch().slots.program("green") == "/opt/mlflow/programs/second"
    system.install("third")
    system.ask("reload")
    system.switch().run()
    system.switch().slots.prune_programs()
    assert sorted(each.name for each in system.paths.programs.iterdir()) == ["second", "third"]
