# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The blue/green cutover: its steps, failures at each step and kills at each action."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflowctl.cutover import requests
from mlflowctl.cutover.status import status
from mlflowctl.errors import FailedError

from .fake_machine import FakeMachine, KilledError

OLD, SAME, NEW = "3.17.2", "3.17.3", "3.18.0"


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    """Return a VM with 3.17.2 in the active slot blue. 3.17.3 has the same schema, 3.18.0 another one."""
    return make(tmp_path)


def make(root: Path) -> FakeMachine:
    machine = FakeMachine(root)
    machine.want(machine.release(OLD, 1))
    machine.release(SAME, 1)
    machine.release(NEW, 2)
    machine.switch().start()
    assert serving(machine) == ("blue", OLD)
    machine.log.clear()
    machine.deeds = 0
    return machine


def path(version: str) -> str:
    return f"/opt/mlflow/releases/{version}-0123456789ab"


def serving(machine: FakeMachine) -> tuple[str | None, str | None]:
    """Return the active slot and its version, after checks that the rest of the VM is consistent."""
    switch = machine.switch()
    slot = switch.traffic.target()
    assert slot is not None
    assert switch.slots.active() == slot
    assert list(machine.running) == [slot], "only the slot with the traffic must run"
    assert switch.slots.wanted_release() == switch.slots.release(slot), "the active slot must run the desired release"
    assert not switch.slots.unseen(slot)
    assert switch.journal.entry() is None
    assert switch.journal.load("request") is None
    release = switch.slots.release(slot)
    assert release is not None
    assert machine.code[release] == machine.databases["mlflow"]["schema"]
    return slot, switch.slots.version(release)


def result(machine: FakeMachine) -> dict[str, object]:
    document = machine.switch().journal.load("result")
    assert document is not None
    return document


def rolled_back(machine: FakeMachine) -> object:
    """Return the rolled-back version in the output of `status`."""
    return (status(machine.switch())["rolled_back"] or {}).get("version")


def test_reload(machine: FakeMachine) -> None:
    machine.want(path(SAME), workers=3)
    assert machine.switch().slots.unseen("blue") == ["release", "server.json"]
    machine.ask("reload")
    machine.switch().run()
    assert serving(machine) == ("green", SAME)
    assert result(machine)["ok"] is True
    assert machine.switch().slots.settings("green")["workers"] == 3
    # The new slot must be ready before the move of the traffic. The old slot must stop after the move.
    order = [line for line in machine.log if "mlflow@" in line or "mlflow.sock" in line or " ready " in line]
    moved = order.index("link mlflow.sock /run/mlflow-green/mlflow.sock")
    assert any(" ready --slot green" in line for line in order[:moved])
    assert "systemctl stop mlflow@blue.service" in order[moved:]
    assert "systemctl stop mlflow@blue.service" not in order[:moved]


def test_request_while_the_unit_is_ending(machine: FakeMachine) -> None:
    """ExecStopPost= after a complete cutover does not treat the next request as an interrupted one."""
    machine.want(path(SAME))
    machine.ask("reload")
    machine.switch().recover(ended_well=True)
    assert machine.switch().journal.load("request")
    machine.switch().run()
    assert serving(machine) == ("green", SAME)


def test_reload_refuses_another_schema(machine: FakeMachine) -> None:
    machine.want(path(NEW))
    machine.ask("reload")
    machine.switch().run()
    assert serving(machine) == ("blue", OLD)
    assert (result(machine)["code"], result(machine)["step"]) == (3, "compare")
    assert "Run playbooks/upgrade.yml" in str(result(machine)["cause"])
    assert machine.databases == {"mlflow": {"schema": 1, "rows": ["before"]}}


def test_upgrade_with_migration(machine: FakeMachine) -> None:
    machine.want(path(NEW))
    machine.ask("upgrade", watch=10)
    machine.switch().run()
    assert serving(machine) == ("green", NEW)
    told = result(machine)
    assert (told["ok"], told["migrated"], told["held_seconds"]) == (True, True, 1.0)
    assert machine.databases["mlflow_before"]["schema"] == 1
    assert machine.switch().journal.load("previous") == {
        "id": "upgrade-1",
        "release": path(OLD),
        "version": OLD,
        "migrated": True,
    }


def test_no_server_runs_during_the_exchange_of_the_databases(machine: FakeMachine) -> None:
    machine.want(path(NEW))
    machine.ask("upgrade")
    machine.switch().run()
    copied = next(i for i, line in enumerate(machine.log) if "schema copy" in line)
    assert machine.log.index("remove mlflow.sock") < machine.log.index("systemctl stop mlflow@blue.service") < copied
    assert copied < machine.log.index("link mlflow.sock /run/mlflow-green/mlflow.sock")


ALWAYS = [("start", "start"), ("smoke", "check"), ("artifacts", "watch")]
MIGRATING = [("copy", "copy"), ("migrate", "migrate")]


@pytest.mark.parametrize(
    ("version", "breaks", "step"),
    [(SAME, *each) for each in ALWAYS] + [(NEW, *each) for each in ALWAYS + MIGRATING],
)
def test_a_failed_step_is_rolled_back(machine: FakeMachine, version: str, breaks: str, step: str) -> None:
    migrates = version == NEW
    machine.want(path(version))
    machine.broken.add((breaks, path(OLD if breaks == "copy" else version)))
    machine.ask("upgrade", watch=10)
    machine.switch().run()
    assert serving(machine) == ("blue", OLD)
    told = result(machine)
    assert (told["ok"], told["step"], told["code"]) == (False, step, 1)
    assert told["cause"]
    # Rows that the new server accepted are kept.
    assert ("mlflow_failed" in machine.databases) == (migrates and step == "watch") == told["kept_failed"]
    assert machine.databases["mlflow"]["rows"] == ["before"]
    # Only a release that clients have used is recorded as rolled back.
    assert rolled_back(machine) == (version if step == "watch" else None)


def test_a_successful_upgrade_clears_the_rolled_back_release(machine: FakeMachine) -> None:
    for breaks in ({("artifacts", path(NEW))}, set()):
        machine.broken = breaks
        machine.want(path(NEW))
        machine.ask("upgrade", watch=10)
        machine.switch().run()
        assert rolled_back(machine) == (NEW if breaks else None)


def test_the_active_release_is_never_recorded_as_rolled_back(machine: FakeMachine) -> None:
    machine.broken.add(("artifacts", path(OLD)))
    machine.ask("upgrade", watch=10)
    machine.switch().run()
    assert (result(machine)["step"], rolled_back(machine)) == ("watch", None)


def test_a_crash_during_the_watch_is_rolled_back(machine: FakeMachine) -> None:
    machine.want(path(NEW))
    start = machine.clock

    def crash() -> None:
        if machine.clock > start + 8 and "green" in machine.running:
            machine.running["green"] = 99

    machine.on_sleep = crash
    machine.ask("upgrade", watch=30)
    machine.switch().run()
    assert serving(machine) == ("blue", OLD)
    assert (result(machine)["step"], result(machine)["kept_failed"]) == ("watch", True)
    assert "crashed" in str(result(machine)["cause"])


def busy(machine: FakeMachine, slot: str) -> None:
    """Give a slot an in-flight request that does not end."""
    table = machine.paths.root / "proc/net/unix"
    table.parent.mkdir(parents=True)
    table.write_text(f"0: 00000003 00000000 00000000 0001 03 1002 /run/mlflow-{slot}/mlflow.sock\n", encoding="utf-8")


def test_a_crash_during_the_drain_is_rolled_back(machine: FakeMachine) -> None:
    """systemd has restarted the server, and it is ready, long before the watch starts."""
    busy(machine, "blue")

    def crash() -> None:
        switch = machine.switch()
        if switch.traffic.target() == "green" and switch.traffic.connections("blue"):
            machine.running["green"] = 99

    machine.on_sleep = crash
    machine.want(path(SAME))
    machine.ask("upgrade", watch=10)
    machine.switch().run()
    assert serving(machine) == ("blue", OLD)
    told = result(machine)
    assert (told["ok"], told["step"], told["moved"], told["kept_failed"]) == (False, "watch", True, False)
    assert "crashed" in str(told["cause"])
    assert rolled_back(machine) == SAME
    # The old server was never stopped, so it answers its in-flight requests.
    assert "systemctl stop mlflow@blue.service" not in machine.log


@pytest.mark.parametrize("version", [SAME, NEW])
def test_a_crash_with_the_first_request_is_rolled_back(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    link = machine.link

    def crash(place: Path, target: str) -> None:
        link(place, target)
        if target == "/run/mlflow-green/mlflow.sock":
            machine.running["green"] = 99

    monkeypatch.setattr(machine, "link", crash)
    machine.want(path(version))
    machine.ask("upgrade", watch=10)
    machine.switch().run()
    assert serving(machine) == ("blue", OLD)
    assert (result(machine)["step"], result(machine)["kept_failed"]) == ("watch", version == NEW)
    assert "crashed" in str(result(machine)["cause"])


def test_a_missing_approval_is_rolled_back(machine: FakeMachine) -> None:
    machine.want(path(SAME))
    machine.ask("upgrade", go_timeout=60)
    machine.switch().run()
    assert serving(machine) == ("blue", OLD)
    assert result(machine)["cause"] == "no approval from the control node within 60 s"


@pytest.mark.parametrize(
    ("slow", "step"), [({"heads": 101}, "compare"), ({"copy": 95}, "copy"), ({"copy": 60, "migrate": 40}, "migrate")]
)
def test_the_time_limit_ends_an_upgrade(machine: FakeMachine, slow: dict[str, float], step: str) -> None:
    """The VM enforces the limit without the control node. The rollback has no limit."""
    machine.want(path(NEW))
    machine.slow = {**slow, "restore": 1000}
    machine.on_sleep = lambda: setattr(machine, "clock", machine.clock + 5)
    start = machine.clock
    machine.ask("upgrade", timeout=100)
    machine.switch().run()
    assert serving(machine) == ("blue", OLD)
    assert (result(machine)["ok"], result(machine)["step"]) == (False, step)
    expected = f"{step} did not end within the 100 s that an upgrade may take (upgrade_timeout_seconds)"
    assert result(machine)["cause"] == expected
    assert machine.clock - start < 110 + (0 if step == "compare" else 1000)
    assert machine.databases["mlflow"]["rows"] == ["before"]


def test_no_step_starts_after_the_time_limit(machine: FakeMachine) -> None:
    machine.want(path(NEW))
    machine.on_sleep = lambda: setattr(machine, "clock", machine.clock + 100)
    machine.ask("upgrade", timeout=100)
    machine.switch().run()
    assert serving(machine) == ("blue", OLD)
    assert (result(machine)["step"], result(machine)["code"]) == ("copy", 1)
    assert not any("schema copy" in line for line in machine.log)


def test_a_failure_before_the_time_limit_keeps_its_cause(machine: FakeMachine) -> None:
    machine.want(path(NEW))
    machine.broken.add(("migrate", path(NEW)))
    machine.ask("upgrade", timeout=100)
    machine.switch().run()
    assert result(machine)["cause"] == "migrate: it cannot be done"


@pytest.mark.parametrize(("identity", "ends_with"), [("upgrade-1", NEW), ("upgrade-0", OLD)])
def test_an_approval_is_valid_for_one_cutover(machine: FakeMachine, identity: str, ends_with: str) -> None:
    machine.want(path(NEW))

    def go() -> None:
        entry = machine.switch().journal.entry()
        if entry and entry.step == "ready":
            machine.switch().journal.save("go", {"id": identity})

    machine.on_sleep = go
    machine.ask("upgrade", go_timeout=60)
    machine.switch().run()
    assert serving(machine)[1] == ends_with


@pytest.mark.parametrize("version", [SAME, NEW])
def test_rollback_by_hand(machine: FakeMachine, version: str) -> None:
    machine.want(path(version))
    machine.ask("upgrade")
    machine.switch().run()
    machine.databases["mlflow"]["rows"].append("after")
    machine.ask("rollback")
    machine.switch().run()
    assert serving(machine) == ("blue", OLD)
    assert result(machine)["ok"] is True
    assert machine.switch().journal.load("previous") is None
    assert rolled_back(machine) == version
    if version == NEW:
        assert machine.databases["mlflow"]["rows"] == ["before"]
        assert machine.databases["mlflow_failed"]["rows"] == ["before", "after"]
    machine.ask("rollback")
    machine.switch().run()
    assert serving(machine) == ("blue", OLD)
    assert (result(machine)["code"], result(machine)["cause"]) == (3, "there is no release to roll back to")


def test_rollback_without_the_kept_databases_changes_nothing(machine: FakeMachine) -> None:
    machine.want(path(NEW))
    machine.ask("upgrade")
    machine.switch().run()
    del machine.databases["mlflow_before"]
    machine.ask("rollback")
    machine.switch().run()
    assert serving(machine) == ("green", NEW)
    assert (result(machine)["code"], result(machine)["step"]) == (3, "restore")
    # A kill before the cutover detects that the kept databases do not exist.
    restores = next(i for i in range(1, 99) if killed_at(machine, "rollback", i) == "restore")
    assert restores
    machine.switch().recover()
    machine.switch().run()
    assert serving(machine) == ("green", NEW)


def killed_at(machine: FakeMachine, kind: str, moment: int) -> str | None:
    """Kill a cutover at its n-th action. Return the step if it is `restore`, otherwise recover and return None."""
    machine.ask(kind)
    machine.kill_at, machine.deeds = moment, 0
    with pytest.raises(KilledError):
        machine.switch().run()
    machine.kill_at = None
    entry = machine.switch().journal.entry()
    if entry and entry.step == "restore":
        return entry.step
    machine.switch().recover()
    machine.switch().run()
    return None


def test_a_rollback_completes_if_the_server_does_not_start(machine: FakeMachine) -> None:
    machine.want(path(NEW))
    machine.ask("upgrade")
    machine.switch().run()
    machine.broken.add(("start", path(OLD)))
    machine.ask("rollback")
    machine.switch().run()
    assert (result(machine)["ok"], result(machine)["step"]) == (False, "start")
    assert "the databases are restored, but" in str(result(machine)["cause"])
    # systemd's Restart=always starts the server again.
    machine.broken.clear()
    machine.switch().slots.start("blue")
    assert serving(machine) == ("blue", OLD)


def test_an_upgrade_to_the_active_release_keeps_the_previous_release(machine: FakeMachine) -> None:
    machine.want(path(NEW))
    for _ in range(2):
        machine.ask("upgrade")
        machine.switch().run()
    assert serving(machine) == ("blue", NEW)
    previous = machine.switch().journal.load("previous")
    assert previous is not None
    assert previous["version"] == OLD


@pytest.mark.parametrize(
    ("first", "breaks", "stays"), [(NEW, "copy", False), (NEW, "migrate", False), (SAME, "copy", True)]
)
def test_a_later_migration_ends_earlier_rollbacks(machine: FakeMachine, first: str, breaks: str, stays: bool) -> None:
    """The copy of a migration replaces the kept databases. A previous release without kept databases stays."""
    machine.want(path(first))
    machine.ask("upgrade")
    machine.switch().run()
    newest = machine.release("3.19.0", 3)
    machine.broken.add((breaks, path(first) if breaks == "copy" else newest))
    machine.want(newest)
    machine.ask("upgrade", "upgrade-2")
    machine.switch().run()
    assert serving(machine) == ("green", first)
    assert (machine.switch().journal.load("previous") is not None) == stays


def test_a_failed_cutover_ends_without_a_running_old_server(machine: FakeMachine) -> None:
    machine.running.clear()
    machine.broken.add(("start", path(SAME)))
    machine.want(path(SAME))
    machine.ask("reload")
    machine.switch().run()
    assert serving(machine) == ("blue", OLD)


def deeds(root: Path, kind: str, version: str) -> int:
    """Return the number of actions at which a cutover can be killed."""
    machine = prepared(root, kind, version)
    machine.switch().run()
    return machine.deeds


def prepared(root: Path, kind: str, version: str) -> FakeMachine:
    machine = make(root)
    machine.want(path(version))
    if kind == "rollback":
        machine.ask("upgrade")
        machine.switch().run()
    machine.ask(kind, **({"watch": 6} if kind == "upgrade" else {}))
    machine.deeds = 0
    return machine


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
        machine = prepared(tmp_path / str(moment), kind, version)
        machine.kill_at = moment
        with pytest.raises(KilledError):
            machine.switch().run()
        # Between the kill and the recovery: a running server with a matching database, or maintenance mode.
        target = machine.switch().traffic.target()
        assert target is None or target in machine.running
        machine.kill_at = None
        if power:
            machine.power_cut()
            machine.switch().start()
            # start() requests this unit if a cutover was interrupted.
            machine.switch().run()
        else:
            machine.switch().recover()
            machine.switch().run()
        ends.add(serving(machine)[1])
        assert result(machine)["id"] == "upgrade-1"
        assert "mlflow_before" not in machine.databases or machine.code[path(OLD)] == 1
    assert ends == {OLD, version}, "early kills must roll back, late kills must complete"


def test_killed_during_the_rollback(tmp_path: Path) -> None:
    for moment in range(1, 200):
        machine = prepared(tmp_path / str(moment), "upgrade", NEW)
        machine.broken.add(("smoke", path(NEW)))
        machine.kill_at = moment
        try:
            machine.switch().run()
        except KilledError:
            # Also kill the recovery, one action later each time.
            for again in range(1, 60):
                machine.kill_at, machine.deeds = again, 0
                try:
                    machine.switch().recover()
                    break
                except KilledError:
                    continue
            machine.kill_at = None
            machine.switch().recover()
            machine.switch().run()
            assert serving(machine) == ("blue", OLD), moment
        else:
            assert serving(machine) == ("blue", OLD)
            return
    pytest.fail("the rollback never ended without a kill")


def test_the_old_server_restarts_with_its_old_configuration(machine: FakeMachine) -> None:
    """A failed change has no effect on the next start of the active slot."""
    before = machine.switch().slots.settings("blue")
    machine.want(path(SAME), workers=99)
    machine.broken.add(("start", path(SAME)))
    machine.ask("reload")
    machine.switch().run()
    assert serving(machine) == ("blue", OLD)
    machine.power_cut()
    machine.switch().start()
    assert serving(machine) == ("blue", OLD)
    assert machine.switch().slots.settings("blue") == before


def test_started_moves_the_traffic_to_the_active_slot_only(machine: FakeMachine) -> None:
    machine.power_cut()
    machine.switch().started("green")
    assert machine.switch().traffic.target() is None
    machine.switch().started("blue")
    assert machine.switch().traffic.target() == "blue"


def test_drain_counts_the_connections_of_one_socket(machine: FakeMachine) -> None:
    table = machine.paths.root / "proc/net/unix"
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
    traffic = machine.switch().traffic
    assert (traffic.connections("blue"), traffic.connections("green")) == (2, 1)
    start = machine.clock
    assert traffic.drain("blue", 30) == 2
    assert 30 <= machine.clock - start < 33
    machine.on_sleep = lambda: table.write_text(lines[0] + "\n", encoding="utf-8") and None
    assert traffic.drain("green", 30) == 0


def test_prune_keeps_used_releases(machine: FakeMachine) -> None:
    for number in range(4):
        machine.release(f"3.16.{number}", 1)
    assert machine.switch().slots.prune(1, {path("3.16.0")}) != []
    left = {each.name.split("-")[0] for each in machine.paths.releases.iterdir()}
    assert {OLD, "3.16.0"} <= left
    assert len(left) == 3


def test_prune_removes_incomplete_releases_on_request(machine: FakeMachine) -> None:
    build, used = machine.paths.releases / "3.20.0-0123456789ab", machine.paths.releases / f"{OLD}-0123456789ab"
    (build / "bin").mkdir(parents=True)
    assert machine.switch().slots.prune(9, set()) == []
    # An active release stays, even without its mark.
    (used / ".complete").unlink()
    assert machine.switch().slots.prune(9, set(), interrupted=True) == [build.name]
    assert not build.exists()
    assert used.exists()


def test_a_request_that_is_refused_leaves_the_desired_release(machine: FakeMachine) -> None:
    """The next run of site.yml must not cut over to a release that was only selected."""
    machine.ask("reload")
    with pytest.raises(FailedError, match="another cutover is in progress"):
        requests.upgrade(machine.switch(), machine, path(NEW), {})
    assert machine.switch().slots.wanted_release() == path(OLD)


def test_a_new_version_of_the_program_needs_a_cutover(machine: FakeMachine) -> None:
    """The active slot starts with its own version until then, and unused versions are removed after that."""
    machine.install("second")
    slots = machine.switch().slots
    assert slots.unseen("blue") == ["program"]
    slots.prune_programs()
    assert slots.program("blue") == "/opt/mlflow/programs/first"
    machine.ask("reload")
    machine.switch().run()
    assert machine.switch().slots.program("green") == "/opt/mlflow/programs/second"
    machine.install("third")
    machine.ask("reload")
    machine.switch().run()
    machine.switch().slots.prune_programs()
    assert sorted(each.name for each in machine.paths.programs.iterdir()) == ["second", "third"]
