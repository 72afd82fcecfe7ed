# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A certificate authority with an ACME directory for VMs: the program pebble, which asks the local cloud's name server.

VMs reach the directory at ``https://169.254.169.254:14000/dir``. pebble keeps accounts and its CA in memory.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from localcloud.core.sockets import bound
from localcloud.engine.authority import Authority
from localcloud.engine.base import EngineError
from localcloud.engine.nft_rules import METADATA_ADDRESS, Ports

MANAGEMENT = ("127.0.0.1", 8715)
_START_SECONDS = 15
_STOP_SECONDS = 5


class AcmeDirectory:
    """A listener for VMs, in a process of its own."""

    def __init__(
        self, authority: Authority, home: Path, ports: Ports, *, management: tuple[str, int] = MANAGEMENT
    ) -> None:
        self._authority, self._home, self._ports, self._management = authority, home, ports, management
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def installed() -> bool:
        """Return whether the program is installed."""
        return shutil.which("pebble") is not None

    @property
    def log(self) -> Path:
        """Return the log of the program."""
        return self._home / "pebble.log"

    def start(self) -> None:
        """Start the program; returns once it listens."""
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        for address in (self._management, (self._ports.host, self._ports.acme)):
            try:
                bound(*address).close()
            except OSError as error:
                raise EngineError(f"cannot listen on {address[0]}:{address[1]}: {error.strerror}") from error
        settings, names = self._write(), f"{self._ports.host}:{self._ports.dns}"
        # The kernel ends the program if the local cloud is killed.
        command = ["setpriv", "--pdeathsig", "TERM", "pebble", "-config", str(settings), "-dnsserver", names]
        self.log.touch(mode=0o600)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Without a random pause before each validation, and with a validation for each order.
                env=os.environ | {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0"},
            )
        deadline = time.monotonic() + _START_SECONDS
        while not (_accepts(*self._management) and _accepts(self._ports.host, self._ports.acme)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                last = self.log.read_text(errors="replace").splitlines()[-3:]
                raise EngineError(f"cannot start the ACME directory (pebble): {' '.join(last)}. See {self.log}")
            time.sleep(0.05)

    def _write(self) -> Path:
        issued = self._authority.issue("acme", METADATA_ADDRESS, self._ports.host, self._management[0], "localhost")
        certificate, key, settings = (self._home / name for name in ("acme.crt", "acme.key", "pebble.json"))
        certificate.write_text(issued.certificate)
        key.touch(mode=0o600)
        key.write_text(issued.key)
        document = {
            "listenAddress": f"{self._ports.host}:{self._ports.acme}",
            "managementListenAddress": f"{self._management[0]}:{self._management[1]}",
            "certificate": str(certificate),
            "privateKey": str(key),
            "httpPort": 80,
            "tlsPort": 443,
            "externalAccountBindingRequired": False,
        }
        settings.write_text(json.dumps({"pebble": document}))
        return settings

    def stop(self) -> None:
        """Stop the program."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
