# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""VMs boot, keep their disk, get users and keys from metadata, and trust the right CAs."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from localcloud.engine.base import NotFound
from localcloud.engine.docker_machines import DockerMachines
from tests.localcloud.engine.world import FAR, ID, OLD, ONE, TWO, World, eventually, host_connects

BOOTED = ("systemctl", "is-system-running", "--wait")


def test_boots_without_a_failed_unit(world: World) -> None:
    assert world.run(ONE, *BOOTED).strip() == "running", world.run(ONE, "systemctl", "--failed")
    assert world.run(ONE, "hostname", "-f").strip() == ONE.hostname
    assert world.run(ONE, "hostname").strip() == "one"


def test_machines_have_identities_of_their_own(world: World) -> None:
    for path in ("/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key.pub"):
        assert world.run(ONE, "cat", path).split()[:2] != world.run(TWO, "cat", path).split()[:2]


def test_one_card_with_the_internal_address_only(world: World) -> None:
    addresses = world.run(ONE, "ip", "-4", "-o", "address", "show", "scope", "global")
    assert ONE.internal_ip in addresses
    assert len(addresses.splitlines()) == 1


def test_ssh_by_metadata_key_with_verified_host_key(world: World) -> None:
    eventually(lambda: host_connects(str(ONE.external_ip), 22))
    eventually(lambda: "ssh-ed25519" in world.directory.guest.get("one", {}).get("hostkeys", {}))
    known = world.key.with_name("known_hosts")
    keys = world.directory.guest["one"]["hostkeys"]
    known.write_text("".join(f"{ONE.external_ip} {kind} {key}\n" for kind, key in keys.items()))
    command = ["ssh", "-i", str(world.key), "-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes"]
    command += ["-o", "BatchMode=yes", f"ada@{ONE.external_ip}", "sudo id -u; env; sudo env"]
    result = []

    def logs_in() -> bool:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        result.append(done.stdout + done.stderr)
        return done.returncode == 0

    eventually(logs_in)
    lines = result[-1].splitlines()
    assert lines[0] == "0"
    assert lines.count("SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt") == 2, "in the session and under sudo"


def test_startup_script_runs_at_each_boot(world: World) -> None:
    ran = ("cat", "/var/startup-script-ran")
    eventually(lambda: world.machines.run(TWO.id, *ran)[0] == 0)
    before = world.run(TWO, *ran).count("from-startup-script")
    world.machines.stop(TWO.id)
    world.machines.start(TWO.id)
    eventually(lambda: world.machines.run(TWO.id, *ran)[1].count("from-startup-script") == before + 1)


def test_stop_start_and_reset_keep_the_disk_and_the_address(world: World) -> None:
    machine_id = world.run(TWO, "cat", "/etc/machine-id")
    host_key = world.run(TWO, "cat", "/etc/ssh/ssh_host_ed25519_key.pub")
    world.run(TWO, *BOOTED)
    world.run(TWO, "sh", "-c", "echo kept >/root/note; sync")
    world.machines.stop(TWO.id)
    assert not world.machines.running(TWO.id)
    assert "Exiting container" in world.machines.console(TWO.id), "systemd itself ended the machine"
    world.machines.start(TWO.id)
    assert world.machines.running(TWO.id)
    world.machines.reset(TWO.id)
    assert world.run(TWO, "cat", "/root/note") == "kept\n"
    assert TWO.internal_ip in world.run(TWO, "ip", "-4", "-o", "address")
    eventually(lambda: world.connects(ONE, TWO.internal_ip, 22))
    assert world.run(TWO, "cat", "/etc/machine-id") == machine_id
    assert world.run(TWO, "cat", "/etc/ssh/ssh_host_ed25519_key.pub") == host_key


def test_units_know_the_authorities(world: World) -> None:
    output = world.run(ONE, "systemd-run", "--quiet", "--pipe", "--wait", "env")
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT"):
        assert f"{variable}=/etc/ssl/certs/ca-certificates.crt" in output


def test_packages_install_from_debian_and_pypi(world: World) -> None:
    world.run(ONE, *BOOTED)
    world.run(ONE, "apt-get", "update", "--error-on=any")
    world.run(ONE, "apt-get", "install", "--yes", "--no-install-recommends", "--quiet", "python3-pip")
    output = world.run(
        ONE, "systemd-run", "--quiet", "--pipe", "--wait", "pip", "download", "--no-deps", "-d", "/root", "idna"
    )
    assert "Successfully downloaded idna" in output


def test_the_range_of_the_last_machine_is_free_again(world: World) -> None:
    for network in (f"{ID}first", f"{ID}second"):
        alone = replace(
            FAR, id=f"{ID}alone", network=network, subnetwork_cidr="10.213.9.0/24", internal_ip="10.213.9.2"
        )
        world.machines.create(alone)
        world.machines.delete(alone.id)


def test_what_is_gone(world: World) -> None:
    assert not world.machines.running("enginetest-none")
    world.machines.delete("enginetest-none")
    with pytest.raises(NotFound):
        world.machines.start("enginetest-none")
    assert {ONE.id, TWO.id} <= set(world.machines.ids())


def test_debian_12_beside_it(world: World) -> None:
    world.machines.create(OLD)
    try:
        # Its systemctl does not wait until the bus exists.
        eventually(lambda: world.machines.run(OLD.id, *BOOTED)[1].strip() == "running")
        assert "VERSION_CODENAME=bookworm" in world.run(OLD, "cat", "/etc/os-release")
        eventually(lambda: "ssh-ed25519" in world.directory.guest.get("old", {}).get("hostkeys", {}))
        published = world.directory.guest["old"]["hostkeys"]["ssh-ed25519"]
        assert published in world.run(OLD, "cat", "/etc/ssh/ssh_host_ed25519_key.pub")
        eventually(lambda: world.machines.run(OLD.id, "test", "-s", "/home/ada/.ssh/authorized_keys")[0] == 0)
        eventually(lambda: world.machines.run(OLD.id, "test", "-s", "/var/startup-script-ran")[0] == 0)
        world.run(OLD, "apt-get", "update", "--error-on=any")
    finally:
        world.machines.delete(OLD.id)
    assert OLD.id not in world.machines.ids()


def test_another_process_finds_the_machines(world: World) -> None:
    again = DockerMachines()
    assert {ONE.id, TWO.id} <= set(again.ids())
    assert again.running(ONE.id)
    again.create(TWO)
    assert world.machines.running(TWO.id), "what is there already is replaced"
