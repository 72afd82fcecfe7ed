# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A value that a role on the VM would refuse fails a playbook before any change.

tests/unit/playbooks/test_structure.py proves that the other playbooks begin alike.
tests/unit/roles/test_refused_variables.py has the other values.

Each run would be killed at its first changing call, so its status shows whether there was such a call. The variables
are in `group_vars/all.yml`, as in a real deployment.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from tests.localcloud.harness import Local
from tests.localcloud.playbooks.playbook import RECORDS, REPOSITORY, Door, Playbook
from tests.strict_tls import extended, handshake

SECRET = "correct-horse"
SINGLE_SIGN_ON = {
    "mlflow_authentication": "oauth2_proxy",
    "deployment_hostname": "mlflow.example.com",
    "authentication_oauth2_proxy_client_id": "1-a.apps.googleusercontent.com",
    "authentication_oauth2_proxy_client_secret": SECRET,
    "mlflow_identity_domains": ["example.com"],
}
# Playbook, variables, and expected parts of the message: variable, value, remedy.
CASES: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "provision, nothing secret is shown": (
        "provision",
        {"mlflow_environment": {"token": SECRET}},
        ["mlflow_environment: token is a name that is not upper case"],
    ),
    "provision, no OAuth client": (
        "provision",
        SINGLE_SIGN_ON | {"authentication_oauth2_proxy_client_id": ""},
        ["redirect URI https://mlflow.example.com/oauth2/callback", "JavaScript origin https://mlflow.example.com"],
    ),
    "configure, a provider that does not answer": (
        "configure",
        SINGLE_SIGN_ON | {"authentication_oauth2_proxy_issuer": "https://127.0.0.1:1"},
        ["authentication_oauth2_proxy_issuer is https://127.0.0.1:1, but", "restore the connection to the provider"],
    ),
    "upgrade": ("upgrade", {"upgrade_channel": "newest"}, ["upgrade_channel must be one of", "got: newest"]),
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Local, Door]]:
    """Yield an empty project and an interceptor that kills a run at its first change."""
    door = Door()
    running = Local(tmp_path_factory.mktemp("bad-settings") / "home", door=door)
    running.start()
    yield running, door
    running.stop()


@pytest.fixture
def door(cloud: tuple[Local, Door]) -> Door:
    """Return the interceptor, with the calls of this test only. It kills nothing before the run."""
    cloud[1].killed_at.clear()
    cloud[1].kill_at = 0
    return cloud[1]


@pytest.fixture
def playbook(cloud: tuple[Local, Door], door: Door, tmp_path: pathlib.Path) -> Playbook:
    """Return the playbooks on a control node without state."""
    return Playbook(cloud[0], door, tmp_path)


@pytest.fixture
def inventory(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return a copy of the repository's inventory, for other variables."""
    folder = tmp_path / "inventory"
    (folder / "group_vars").mkdir(parents=True)
    shutil.copy(REPOSITORY / "inventory" / "mlflow" / "mlflow.gcp.yml", folder)
    return folder


def run(playbook: Playbook, inventory: pathlib.Path, name: str, settings: dict[str, Any], *more: str) -> int:
    (inventory / "group_vars" / "all.yml").write_text(json.dumps(settings))
    return playbook.run("--inventory", str(inventory), *more, playbook=name, kill_at=1)


@pytest.mark.parametrize("case", CASES)
def test_a_bad_value_is_refused_before_anything_is_changed(
    playbook: Playbook, door: Door, inventory: pathlib.Path, case: str
) -> None:
    name, settings, words = CASES[case]
    status = run(playbook, inventory, name, settings)
    said = " ".join(playbook.output.split())  # the callback wraps long lines
    assert (status, door.killed_at) == (2, []), playbook.output[-3000:]
    assert all(word in said for word in words), playbook.output[-3000:]
    assert SECRET not in said
    assert not playbook.state.exists()


def make_pair(folder: pathlib.Path, passphrase: str = "") -> tuple[str, str]:
    """Create the files of a certificate and of its key."""
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mlflow.example.com")])
    today, day = datetime.now(UTC), timedelta(days=1)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(today - day).not_valid_after(today + day)
    made = extended(made, key, key, ca=False)
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    files = folder / "chain.pem", folder / "key.pem"
    files[0].write_bytes(made.sign(key, SHA256()).public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return str(files[0]), str(files[1])


def test_the_certificate_of_these_tests_passes_strict_verification(tmp_path: pathlib.Path) -> None:
    chain, key = (pathlib.Path(path).read_text() for path in make_pair(tmp_path / "pair"))
    handshake(chain, key, chain)


def test_a_certificate_that_nginx_cannot_use_is_refused_before_it_is_stored(
    playbook: Playbook, door: Door, inventory: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """tests/unit/roles/test_nginx_certificate.py has the other cases, and the variables of the role nginx."""
    chain, key = make_pair(tmp_path / "one", SECRET)
    status = run(playbook, inventory, "provision", {"certificates_file": chain, "certificates_key_file": key})
    said = "".join(playbook.output.split())  # paths are wrapped, too
    assert (status, door.killed_at) == (2, []), playbook.output[-3000:]
    assert f"certificates_key_fileis'{key}',which" in said, playbook.output[-3000:]
    assert "hasapassphrase" in said
    assert not playbook.state.exists()


def test_good_values_are_not_in_the_way(
    empty: Local, door: Door, inventory: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Accept values that are valid only with the VM's other variables and an upgraded release."""
    lock = REPOSITORY / "roles" / "mlflow" / "files" / "requirements-3.17.2.txt"
    playbook, session = Playbook(empty, door, tmp_path), empty.session()
    session.call("POST", "/storage/v1/b?project=mlflow-local", json={"name": "mlflow-local-mlflow-backups"})
    session.call(
        "POST", f"{RECORDS}release.json", data=json.dumps({"version": "3.99.0", "requirements": lock.read_text()})
    )
    chain, key = make_pair(tmp_path / "certificate")
    settings = {
        "certificates_file": chain,
        "certificates_key_file": key,
        "mlflow_version": "3.99.0",
        "mlflow_database_pool_size": 9,
        "mlflow_database_max_overflow": 5,
        "credentials_items": [{"name": "mlflow.database-uri", "secret": "{{ deployment_name }}-database-uri"}],
        "mlflow_artifacts_destination": "gs://{{ mlflow_deployment.bucket.name }}/here",
    }
    assert run(playbook, inventory, "provision", settings) == -signal.SIGKILL, playbook.output[-3000:]
    assert len(door.killed_at) == 1
