# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The switch from slot to slot: what it does, and that every way to fail, and every moment to be killed, ends well."""

from __future__ import annotations

from pathlib import Path

import pytest

from .fake_machine import FakeMachine, KilledError, status

OLD, SAME, NEW = "3.17.2", "3.17.3", "3.18.0"


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    """A machine whose slot blue serves 3.17.2; 3.17.3 has the same schema, 3.18.0 another one."""
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
    """Which slot has the traffic, and what it runs; the rest of the machine must agree with that."""
    switch = machine.switch()
    slot = switch.traffic.target()
    assert slot is not None
    assert switch.slots.active() == slot
    assert list(machine.running) == [slot], "exactly the slot that has the traffic runs"
    assert switch.slots.wanted_release() == switch.slots.release(slot), "what serves is what is wanted"
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
    """The version that was gone back from, as `status` tells."""
    return (status(machine.switch())["rolled_back"] or {}).get("version")


def test_reload(machine: FakeMachine) -> None:
    machine.want(path(SAME), workers=3)
    assert machine.switch().slots.unseen("blue") == ["release", "server.json"]
    machine.ask("reload")
    machine.switch().run()
    assert serving(machine) == ("green", SAME)
    assert result(machine)["ok"] is True
    assert machine.switch().slots.settings("green")["workers"] == 3
    # The new one is ready before it gets the traffic, the old one stops after it lost it.
    order = [line for line in machine.log if "mlflow@" in line or "mlflow.sock" in line or "ready.py" in line]
    moved = order.index("link mlflow.sock /run/mlflow-green/mlflow.sock")
    assert any("ready.py" in line and "mlflow-green" in line for line in order[:moved])
    assert "systemctl stop mlflow@blue.service" in order[moved:]
    assert "systemctl stop mlflow@blue.service" not in order[:moved]


def test_asked_for_while_the_unit_is_ending(machine: FakeMachine) -> None:
    """Its last act, after a switch that ended well, does not take the next request for an interrupted one."""
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


def test_nobody_serves_while_the_databases_are_exchanged(machine: FakeMachine) -> None:
    machine.want(path(NEW))
    machine.ask("upgrade")
    machine.switch().run()
    copied = next(i for i, line in enumerate(machine.log) if "schema.py copy" in line)
    assert machine.log.index("remove mlflow.sock") < machine.log.index("systemctl stop mlflow@blue.service") < copied
    assert copied < machine.log.index("link mlflow.sock /run/mlflow-green/mlflow.sock")


ALWAYS = [("start", "start"), ("smoke", "check"), ("artifacts", "watch")]
MIGRATING = [("copy", "copy"), ("migrate", "migrate")]


@pytest.mark.parametrize(
    ("version", "breaks", "step"),
    [(SAME, *each) for each in ALWAYS] + [(NEW, *each) for each in ALWAYS + MIGRATING],
)
def test_a_step_that_fails_leads_back(machine: FakeMachine, version: str, breaks: str, step: str) -> None:
    migrates = version == NEW
    machine.want(path(version))
    machine.broken.add((breaks, path(OLD if breaks == "copy" else version)))
    machine.ask("upgrade", watch=10)
    machine.switch().run()
    assert serving(machine) == ("blue", OLD)
    told = result(machine)
    assert (told["ok"], told["step"], told["code"]) == (False, step, 1)
    assert told["cause"]
    # Rows that were accepted are kept.
    assert ("mlflow_failed" in machine.databases) == (migrates and step == "watch") == told["kept_failed"]
    assert machine.databases["mlflow"]["rows"] == ["before"]
    # Only what clients worked with is not to be tried again unasked.
    assert rolled_back(machine) == (version if step == "watch" else None)


def test_an_upgrade_that_succeeds_forgets_what_was_gone_back_from(machine: FakeMachine) -> None:
    for breaks in ({("artifacts", path(NEW))}, set()):
        machine.broken = breaks
        machine.want(path(NEW))
        machine.ask("upgrade", watch=10)
        machine.switch().run()
        assert rolled_back(machine) == (NEW if breaks else None)


def test_what_serves_was_not_gone_back_from(machine: FakeMachine) -> None:
    machine.broken.add(("artifacts", path(OLD)))
    machine.ask("upgrade", watch=10)
    machine.switch().run()
    assert (result(machine)["step"], rolled_back(machine)) == ("watch", None)


def test_a_crash_while_it_is_watched_leads_back(machine: FakeMachine) -> None:
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
    """A slot has a request to answer that does not come to an end."""
    table = machine.paths.root / "proc/net/unix"
    table.parent.mkdir(parents=True)
    table.write_text(f"0: 00000003 00000000 00000000 0001 03 1002 /run/mlflow-{slot}/mlflow.sock\n", encoding="utf-8")


def test_a_crash_while_the_old_one_drains_leads_back(machine: FakeMachine) -> None:
    """systemd has started it again, and it is ready, long before it is watched."""
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
    # What was asked of the old one before is answered by it: it was never stopped.
    assert "systemctl stop mlflow@blue.service" not in machine.log


@pytest.mark.parametrize("version", [SAME, NEW])
def test_a_crash_with_the_first_request_leads_back(
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


def test_without_go_it_leads_back(machine: FakeMachine) -> None:
    machine.want(path(SAME))
    machine.ask("upgrade", go_timeout=60)
    machine.switch().run()
    assert serving(machine) == ("blue", OLD)
    assert result(machine)["cause"] == "no approval from the control node within 60 s"


@pytest.mark.parametrize(
    ("slow", "step"), [({"heads": 101}, "compare"), ({"copy": 95}, "copy"), ({"copy": 60, "migrate": 40}, "migrate")]
)
def test_it_takes_no_longer_than_it_may(machine: FakeMachine, slow: dict[str, float], step: str) -> None:
    """Also where nobody is there to end it; what leads back gets the time that it needs."""
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


def test_time_that_is_over_before_a_step_is_not_given_to_it(machine: FakeMachine) -> None:
    machine.want(path(NEW))
    machine.on_sleep = lambda: setattr(machine, "clock", machine.clock + 100)
    machine.ask("upgrade", timeout=100)
    machine.switch().run()
    assert serving(machine) == ("blue", OLD)
    assert (result(machine)["step"], result(machine)["code"]) == ("copy", 1)
    assert not any("schema.py copy" in line for line in machine.log)


def test_a_failure_within_the_time_keeps_its_own_cause(machine: FakeMachine) -> None:
    machine.want(path(NEW))
    machine.broken.add(("migrate", path(NEW)))
    machine.ask("upgrade", timeout=100)
    machine.switch().run()
    assert result(machine)["cause"] == "migrate: it cannot be done"


@pytest.mark.parametrize(("identity", "ends_with"), [("upgrade-1", NEW), ("upgrade-0", OLD)])
def test_go_counts_for_the_switch_it_was_given_to(machine: FakeMachine, identity: str, ends_with: str) -> None:
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
    # Killed where nobody knows yet that they are gone.
    restores = next(i for i in range(1, 99) if killed_at(machine, "rollback", i) == "restore")
    assert restores
    machine.switch().recover()
    machine.switch().run()
    assert serving(machine) == ("green", NEW)


def killed_at(machine: FakeMachine, kind: str, moment: int) -> str | None:
    """Kill a switch at its deed of that number; return the step, having gone back unless it is `restore`."""
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


def test_a_rolled_back_server_that_does_not_start_is_started_on_and_on(machine: FakeMachine) -> None:
    machine.want(path(NEW))
    machine.ask("upgrade")
    machine.switch().run()
    machine.broken.add(("start", path(OLD)))
    machine.ask("rollback")
    machine.switch().run()
    assert (result(machine)["ok"], result(machine)["step"]) == (False, "start")
    assert "the databases are restored, but" in str(result(machine)["cause"])
    # What systemd's Restart=always does.
    machine.broken.clear()
    machine.switch().slots.start("blue")
    assert serving(machine) == ("blue", OLD)


def test_an_upgrade_to_what_serves_keeps_where_to_go_back_to(machine: FakeMachine) -> None:
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
def test_a_later_migration_ends_the_way_back_before_it(
    machine: FakeMachine, first: str, breaks: str, stays: bool
) -> None:
    """Its copy takes the place of what the earlier one kept, however it ends itself. One that kept nothing stays."""
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


def test_a_broken_old_server_does_not_keep_a_failed_switch_open(machine: FakeMachine) -> None:
    machine.running.clear()
    machine.broken.add(("start", path(SAME)))
    machine.want(path(SAME))
    machine.ask("reload")
    machine.switch().run()
    assert serving(machine) == ("blue", OLD)


def deeds(root: Path, kind: str, version: str) -> int:
    """How many deeds there are at which it can be killed."""
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
        # What is there between the kill and the way back: a server that fits the database, or a hold.
        target = machine.switch().traffic.target()
        assert target is None or target in machine.running
        machine.kill_at = None
        if power:
            machine.power_cut()
            machine.switch().start()
            # The unit that it asks for, when there is something to bring to an end.
            machine.switch().run()
        else:
            machine.switch().recover()
            machine.switch().run()
        ends.add(serving(machine)[1])
        assert result(machine)["id"] == "upgrade-1"
        assert "mlflow_before" not in machine.databases or machine.code[path(OLD)] == 1
    assert ends == {OLD, version}, "early kills lead back, late ones forward"


def test_killed_on_the_way_back_too(tmp_path: Path) -> None:
    for moment in range(1, 200):
        machine = prepared(tmp_path / str(moment), "upgrade", NEW)
        machine.broken.add(("smoke", path(NEW)))
        machine.kill_at = moment
        try:
            machine.switch().run()
        except KilledError:
            # And the recovery as well, a little later each time.
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
    pytest.fail("it never came to an end")


def test_the_old_server_restarts_with_what_it_had(machine: FakeMachine) -> None:
    """A failed change leaves nothing behind that the serving slot would take at its next start."""
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


def test_started_gives_the_traffic_to_the_serving_slot_alone(machine: FakeMachine) -> None:
    machine.power_cut()
    machine.switch().started("green")
    assert machine.switch().traffic.target() is None
    machine.switch().started("blue")
    assert machine.switch().traffic.target() == "blue"


def test_drain_counts_connections_of_one_socket(machine: FakeMachine) -> None:
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


def test_prune_keeps_what_is_used(machine: FakeMachine) -> None:
    for number in range(4):
        machine.release(f"3.16.{number}", 1)
    assert machine.switch().slots.prune(1, {path("3.16.0")}) != []
    left = {each.name.split("-")[0] for each in machine.paths.releases.iterdir()}
    assert {OLD, "3.16.0"} <= left
    assert len(left) == 3


def test_prune_removes_interrupted_builds_when_nobody_builds(machine: FakeMachine) -> None:
    build, used = machine.paths.releases / "3.20.0-0123456789ab", machine.paths.releases / f"{OLD}-0123456789ab"
    (build / "bin").mkdir(parents=True)
    assert machine.switch().slots.prune(9, set()) == []
    # Damaged, but it serves.
    (used / ".complete").unlink()
    assert machine.switch().slots.prune(9, set(), interrupted=True) == [build.name]
    assert not build.exists()
    assert used.exists()
