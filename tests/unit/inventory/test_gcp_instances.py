# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The inventory plugin gcp_instances, with scripted HTTP responses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible import constants
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.doc_fragments import constructed, inventory_cache
from ansible.template import Templar
from ansible.utils.display import Display
from ansible_collections.mlops.mlflow_gcp.plugins.inventory import gcp_instances

from tests.unit.harness import Cloud

LIST = "projects/my-project/aggregated/instances"
BASE = "https://www.googleapis.com/compute/v1/projects/my-project/"
NAME = "mlops.mlflow_gcp.gcp_instances"
CREDENTIALS = {"auth_kind": "access_token", "access_token": "token-of-the-test"}
CONFIG: dict[str, Any] = {"plugin": NAME, "project": "my-project", **CREDENTIALS}
EXAMPLES = list(yaml.safe_load_all(gcp_instances.EXAMPLES))
Parse = Callable[..., InventoryData]


def instance(name: str, zone: str = "europe-west1-b", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "status": "RUNNING",
        "zone": f"{BASE}zones/{zone}",
        "machineType": f"{BASE}zones/{zone}/machineTypes/e2-standard-2",
        "labels": {"app": "mlflow"},
        "tags": {"items": ["mlflow-server"], "fingerprint": "x"},
        "metadata": {"items": [{"key": "enable-oslogin", "value": "FALSE"}]},
        "networkInterfaces": [{"networkIP": "10.128.0.2", "accessConfigs": [{"natIP": "198.51.100.7"}]}],
        **more,
    }


def page(*instances: dict[str, Any], **more: Any) -> dict[str, Any]:
    scopes: dict[str, Any] = {"zones/asia-east1-a": {"warning": {"code": "NO_RESULTS_ON_PAGE", "message": "none"}}}
    for item in instances:
        scopes.setdefault(f"zones/{item['zone'].rpartition('/')[2]}", {}).setdefault("instances", []).append(item)
    return {"kind": "compute#instanceAggregatedList", "items": scopes, **more}


def plugin() -> gcp_instances.InventoryModule:
    """Return the plugin with the options of its documentation, without Ansible's search for the collection."""
    options: dict[str, Any] = {}
    for part in (constructed.ModuleDocFragment, inventory_cache.ModuleDocFragment, gcp_instances):
        options |= yaml.safe_load(part.DOCUMENTATION)["options"]
    constants.config.initialize_plugin_configuration_definitions("inventory", NAME, options)
    made = gcp_instances.InventoryModule()
    made._load_name = NAME
    return made


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the warnings of the plugin and its messages with -v."""
    messages: list[str] = []
    monkeypatch.setattr(Display(), "warning", messages.append, raising=False)
    monkeypatch.setattr(Display(), "v", messages.append, raising=False)
    return messages


@pytest.fixture
def parse(tmp_path: Path) -> Parse:
    """Return a function that parses a configuration as Ansible does."""

    def parsed(
        config: dict[str, Any],
        *,
        name: str = "mlflow.gcp.yml",
        cache: bool = True,
        inventory: InventoryData | None = None,
    ) -> InventoryData:
        path = tmp_path / name
        path.write_text(yaml.safe_dump(config))
        inventory, ours = InventoryData() if inventory is None else inventory, plugin()
        assert ours.verify_file(str(path))
        ours.parse(inventory, DataLoader(), str(path), cache=cache)
        if config.get("cache"):
            ours.update_cache_if_changed()
        inventory.reconcile_inventory()
        return inventory

    return parsed


def test_hosts_have_the_variables_of_their_vm(cloud: Cloud, parse: Parse) -> None:
    cloud.get("compute", LIST, page(instance("mlflow-server", id="123")))
    variables = parse(CONFIG).hosts["mlflow-server"].get_vars()
    expected = {
        "instance_name": "mlflow-server",
        "status": "RUNNING",
        "id": "123",
        "project": "my-project",
        "zone": "europe-west1-b",
        "region": "europe-west1",
        "machineType": "e2-standard-2",
        "labels": {"app": "mlflow"},
        "network_tags": ["mlflow-server"],
        "metadata": {"enable-oslogin": "FALSE"},
        "internal_ip": "10.128.0.2",
        "external_ip": "198.51.100.7",
    }
    assert {key: variables[key] for key in expected} == expected
    assert variables["networkInterfaces"][0]["accessConfigs"][0]["natIP"] == "198.51.100.7"
    assert not {"name", "tags"} & set(variables), "Ansible warns of these"


def test_a_vm_without_network_labels_and_metadata_is_a_host(cloud: Cloud, parse: Parse) -> None:
    bare = {key: value for key, value in instance("bare").items() if key in {"name", "zone", "status"}}
    cloud.get("compute", LIST, page(bare))
    variables = parse(CONFIG).hosts["bare"].get_vars()
    assert (variables["external_ip"], variables["labels"], variables["metadata"]) == ("", {}, {})


def test_the_example_runs_as_it_stands(cloud: Cloud, parse: Parse) -> None:
    config = EXAMPLES[0] | CREDENTIALS
    found = page(instance("mlflow-server"), instance("elsewhere", zone="us-east1-b"))
    cloud.get("compute", LIST, found, query={"filter": "(labels.app=mlflow) (status=RUNNING)"})
    inventory = parse(config)
    assert inventory.hosts["mlflow-server"].get_vars()["ansible_host"] == "198.51.100.7"
    assert set(inventory.hosts) == {"mlflow-server"}
    for group in ("mlflow", "label_app_mlflow", "zone_europe_west1_b"):
        assert [host.name for host in inventory.groups[group].hosts] == ["mlflow-server"]


def test_a_variable_is_no_expression_to_compile(cloud: Cloud, parse: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compilation for each VM took most of the plugin's time with 10,000 VMs."""
    compiled: list[str] = []
    evaluate = Templar.evaluate_expression

    def counted(templar: Templar, expression: str, **options: Any) -> Any:
        compiled.append(expression)
        return evaluate(templar, expression, **options)

    monkeypatch.setattr(Templar, "evaluate_expression", counted)
    cloud.get("compute", LIST, page(instance("a"), instance("b", zone="europe-west1-c")))
    keys = [{"key": "zone", "prefix": "zone"}, {"key": "labels", "prefix": "label"}, {"key": "region | upper"}]
    compose = {"ansible_host": "external_ip", "port": "20 + 2"}
    inventory = parse(CONFIG | {"compose": compose, "keyed_groups": keys})
    assert compiled == ["20 + 2", "region | upper"] * 2
    assert (inventory.hosts["a"].vars["ansible_host"], inventory.hosts["a"].vars["port"]) == ("198.51.100.7", 22)
    hosts = {
        name: [host.name for host in inventory.groups[name].hosts]
        for name in ("zone_europe_west1_b", "label_app_mlflow")
    }
    assert hosts == {"zone_europe_west1_b": ["a"], "label_app_mlflow": ["a", "b"]}


def test_an_extra_variable_overrides_a_variable_of_the_vm(
    cloud: Cloud, parse: Parse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible.plugins.inventory.load_extra_vars", lambda _loader: {"region": "mars"})
    cloud.get("compute", LIST, page(instance("a")))
    inventory = parse(CONFIG | {"compose": {"place": "region"}, "use_extra_vars": True})
    assert inventory.hosts["a"].vars["place"] == "mars"


MASK = "nextPageToken,unreachables,items/*/warning,items/*/instances(name,zone,selfLink,labels,networkInterfaces)"


def test_reads_only_the_named_fields(cloud: Cloud, parse: Parse) -> None:
    read = {"name", "zone", "selfLink", "labels", "networkInterfaces"}
    found = {key: value for key, value in instance("a", selfLink="link").items() if key in read}
    cloud.get("compute", LIST, page(found, nextPageToken="two"), query={"fields": MASK})
    cloud.get("compute", LIST, page(instance("b") | {"labels": {}}), query={"fields": MASK, "pageToken": "two"})
    config = EXAMPLES[-1] | CREDENTIALS
    inventory = parse(config)
    known = {"instance_name", "zone", "selfLink", "labels", "networkInterfaces", "region", "project"}
    added = {"internal_ip", "external_ip", "ansible_host", "inventory_file", "inventory_dir"}
    assert set(inventory.hosts["a"].get_vars()) - {"inventory_hostname", "inventory_hostname_short", "group_names"} == (
        known | added
    )
    assert inventory.hosts["a"].vars["ansible_host"] == "198.51.100.7"
    assert inventory.hosts["b"].vars["labels"] == {}
    assert [host.name for host in inventory.groups["label_app_mlflow"].hosts] == ["a"]


def test_a_preference_for_a_field_that_is_not_read_has_no_value(cloud: Cloud, parse: Parse) -> None:
    mask = "nextPageToken,unreachables,items/*/warning,items/*/instances(name,zone,selfLink,status)"
    found = {key: value for key, value in instance("a").items() if key in {"name", "zone", "status"}}
    cloud.get("compute", LIST, page(found), query={"fields": mask})
    assert set(parse(CONFIG | {"fields": ["status"], "hostnames": ["public_ip"]}).hosts) == {"a"}


def test_a_cached_inventory_with_other_fields_is_read_again(cloud: Cloud, parse: Parse, tmp_path: Path) -> None:
    cached = CONFIG | {"cache": True, "cache_plugin": "jsonfile", "cache_connection": str(tmp_path / "cache")}
    cloud.get("compute", LIST, page(instance("a")))
    parse(cached)
    mask = "nextPageToken,unreachables,items/*/warning,items/*/instances(name,zone,selfLink,labels)"
    cloud.get("compute", LIST, page(instance("a")), query={"fields": mask})
    parse(cached | {"fields": ["labels"]})


def test_reads_every_page_even_after_an_empty_one(cloud: Cloud, parse: Parse) -> None:
    cloud.get("compute", LIST, {"items": {}, "nextPageToken": "two"})
    cloud.get("compute", LIST, page(instance("mlflow-server")), query={"pageToken": "two"})
    assert set(parse(CONFIG).hosts) == {"mlflow-server"}


def test_the_first_hostname_with_a_value_is_used(cloud: Cloud, parse: Parse) -> None:
    named = instance("a", labels={"hostname": "alpha"})
    cloud.get("compute", LIST, page(named, instance("b"), instance("c", networkInterfaces=[])))
    assert set(parse(CONFIG | {"hostnames": ["labels.hostname", "external_ip"]}).hosts) == {
        "alpha",
        "198.51.100.7",
        "c",
    }


@pytest.mark.parametrize(
    ("hostnames", "host"),
    [
        (["name"], "a"),
        (["public_ip"], "198.51.100.7"),
        (["private_ip"], "10.128.0.2"),
        (["labels.host-name", "name"], "alpha"),
        (["labels.none", "metadata.none", "public_ip"], "198.51.100.7"),
        (["name ~ '.' ~ project"], "a.my-project"),
        (["{{ name }}.{{ zone }}"], "a.europe-west1-b"),
        (["labels['host-name']"], "alpha"),
        (["labels.none ~ '.x'", "name ~ '.x'"], "a.x"),
        (["none.of.it ~ '.x'"], "a"),
        (["networkInterfaces[0].networkIP"], "10.128.0.2"),
        (["labels.none | default('')", "id"], "123"),
    ],
)
def test_hostnames_are_attributes_or_expressions(cloud: Cloud, parse: Parse, hostnames: list[str], host: str) -> None:
    cloud.get("compute", LIST, page(instance("a", labels={"host-name": "alpha"}, id=123)))
    inventory = parse(CONFIG | {"hostnames": hostnames, "groups": {"mlflow": "name == 'a'"}})
    assert list(inventory.hosts) == [host]
    assert [each.name for each in inventory.groups["mlflow"].hosts] == [host]


@pytest.mark.parametrize(
    ("preference", "words"),
    [("labels", ["'labels'", "is no text"]), ("name ~", ["'name ~'", "cannot be evaluated"]), ("[name]", ["no text"])],
)
def test_an_invalid_hostname_is_an_error(cloud: Cloud, parse: Parse, preference: str, words: list[str]) -> None:
    cloud.get("compute", LIST, page(instance("a")))
    with pytest.raises(AnsibleParserError) as caught:
        parse(CONFIG | {"hostnames": [preference]})
    for word in [*words, "my-project/europe-west1-b/a"]:
        assert word in str(caught.value)


def test_a_label_is_no_template_in_a_hostname(cloud: Cloud, parse: Parse) -> None:
    """A principal that can set the labels or metadata of a VM must not run code on the control node."""
    evil = "{{ lookup('ansible.builtin.pipe', 'id') }}"
    cloud.get("compute", LIST, page(instance("a", metadata={"items": [{"key": "evil", "value": evil}]})))
    assert list(parse(CONFIG | {"hostnames": ["metadata.evil ~ ''"]}).hosts) == [evil]


def test_two_vms_of_one_name_in_two_zones_are_an_error(cloud: Cloud, parse: Parse) -> None:
    """The name of the second VM depended on the other VMs, and a third VM replaced the second."""
    found = page(instance("a"), instance("a", zone="us-east1-b"))
    cloud.get("compute", LIST, found)
    inventory = InventoryData()
    with pytest.raises(AnsibleParserError) as caught:
        parse(CONFIG, inventory=inventory)
    for word in ("my-project/europe-west1-b/a", "my-project/us-east1-b/a", "hostnames: [\"name ~ '.' ~ zone"):
        assert word in str(caught.value)
    assert not inventory.hosts, "no host is added, rather than a random one"
    cloud.get("compute", LIST, found)
    assert set(parse(CONFIG | {"zones": ["us-east1-b"]}).hosts) == {"a"}
    cloud.get("compute", LIST, found)
    assert set(parse(CONFIG | {"hostnames": ["name ~ '.' ~ zone"]}).hosts) == {"a.europe-west1-b", "a.us-east1-b"}


def of_project(project: str, address: str) -> dict[str, Any]:
    interfaces = [{"networkIP": "10.128.0.2", "accessConfigs": [{"natIP": address}]}]
    vm = instance("mlflow-server", networkInterfaces=interfaces)
    link = f"{BASE.replace('my-project', project)}zones/europe-west1-b/instances/mlflow-server"
    return vm | {"zone": link.rpartition("/instances/")[0], "selfLink": link}


PROJECTS = {"production": "198.51.100.1", "staging": "198.51.100.2", "testing": "198.51.100.3"}


def source(project: str, **more: Any) -> dict[str, Any]:
    # The composed zone and project do not change the identity of the VM.
    compose = {"ansible_host": "external_ip", "zone": "'elsewhere'", "project": "'p'"}
    return CONFIG | {"project": project, "compose": compose, "groups": {project: True}} | more


@pytest.mark.parametrize("cached", [False, True])
def test_vms_of_one_name_in_three_projects_do_not_replace_each_other(
    cloud: Cloud, parse: Parse, tmp_path: Path, cached: bool
) -> None:
    """The third host replaced the second without a warning, so a group of staging contained production's address."""
    cache = {"cache": True, "cache_plugin": "jsonfile", "cache_connection": str(tmp_path / "cache")} if cached else {}
    for project, address in PROJECTS.items():
        cloud.get("compute", f"projects/{project}/aggregated/instances", page(of_project(project, address)))
        if cached:  # fill the cache as a run with only this source does
            parse(source(project, **cache), name=f"{project}.gcp.yml")
    inventory = InventoryData()
    parse(source("production", **cache), inventory=inventory, name="production.gcp.yml")
    for project in ("staging", "testing"):
        with pytest.raises(AnsibleParserError) as caught:
            parse(source(project, **cache), inventory=inventory, name=f"{project}.gcp.yml")
        for word in ("production/europe-west1-b/mlflow-server", f"{project}/europe-west1-b/mlflow-server", "hostnames"):
            assert word in str(caught.value)
    assert inventory.hosts["mlflow-server"].get_vars()["ansible_host"] == PROJECTS["production"]
    assert not {"staging", "testing"} & set(inventory.groups)


def test_unique_hostnames_keep_the_vms_of_three_projects_apart(cloud: Cloud, parse: Parse) -> None:
    inventory = InventoryData()
    for project, address in PROJECTS.items():
        cloud.get("compute", f"projects/{project}/aggregated/instances", page(of_project(project, address)))
        config = source(project, hostnames=EXAMPLES[1]["hostnames"])
        parse(config, inventory=inventory, name=f"{project}.gcp.yml")
    for project, address in PROJECTS.items():
        (host,) = inventory.groups[project].hosts
        assert host.name == f"mlflow-server.europe-west1-b.{project}"
        assert host.get_vars()["ansible_host"] == address


def test_a_vm_that_two_sources_find_is_one_host(cloud: Cloud, parse: Parse) -> None:
    inventory = InventoryData()
    for group in ("first", "second"):
        cloud.get("compute", LIST, page(of_project("my-project", "198.51.100.1")))
        parse(source("my-project", groups={group: True}), inventory=inventory, name=f"{group}.gcp.yml")
    assert list(inventory.hosts) == ["mlflow-server"]
    assert {group.name for group in inventory.hosts["mlflow-server"].get_groups()} >= {"first", "second"}


def test_a_host_of_another_source_may_add_to_a_vm(cloud: Cloud, parse: Parse) -> None:
    inventory = InventoryData()
    inventory.add_host("mlflow-server")
    inventory.set_variable("mlflow-server", "mine", "kept")
    cloud.get("compute", LIST, page(instance("mlflow-server")))
    variables = parse(CONFIG, inventory=inventory).hosts["mlflow-server"].get_vars()
    assert (variables["mine"], variables["external_ip"]) == ("kept", "198.51.100.7")


def test_no_vm_replaces_the_control_node(cloud: Cloud, parse: Parse) -> None:
    cloud.get("compute", LIST, page(instance("a", labels={"hostname": "localhost"})))
    with pytest.raises(AnsibleParserError, match="my-project/europe-west1-b/a would replace localhost"):
        parse(CONFIG | {"hostnames": ["labels.hostname"]})


@pytest.mark.parametrize("config", EXAMPLES[1:-1], ids=lambda config: str(config["hostnames"]))
def test_the_examples_of_hostnames_run_as_they_stand(cloud: Cloud, parse: Parse, config: dict[str, Any]) -> None:
    cloud.get("compute", LIST, page(instance("mlflow-server")))
    (host,) = parse(config | CREDENTIALS).hosts
    assert host in ("mlflow-server.europe-west1-b.my-project", "198.51.100.7")


def test_metadata_is_no_template(cloud: Cloud, parse: Parse) -> None:
    """A principal that can set the metadata of a VM must not run code on the control node."""
    evil = "{{ lookup('ansible.builtin.pipe', 'id') }}"
    cloud.get("compute", LIST, page(instance("a", metadata={"items": [{"key": "evil", "value": evil}]})))
    inventory = parse(CONFIG | {"compose": {"copied": "metadata.evil"}})
    assert inventory.hosts["a"].get_vars()["copied"] == evil


def test_the_project_is_the_project_of_the_modules(cloud: Cloud, parse: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "my-project")
    monkeypatch.setenv("CLOUDSDK_CORE_PROJECT", "another-project")
    cloud.get("compute", LIST, page(instance("a")))
    assert set(parse({key: value for key, value in CONFIG.items() if key != "project"}).hosts) == {"a"}


def test_without_a_project_there_are_no_hosts(parse: Parse, told: list[str]) -> None:
    assert not parse({"plugin": NAME}).hosts
    assert "no project is set" in told[0]


def test_the_project_may_come_from_the_environment(cloud: Cloud, parse: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDSDK_CORE_PROJECT", "my-project")
    cloud.get("compute", LIST, page(instance("a")))
    assert set(parse({key: value for key, value in CONFIG.items() if key != "project"}).hosts) == {"a"}


def test_project_and_filters_are_templates_of_the_variables_of_all(
    cloud: Cloud, parse: Parse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text(
        "deployment_project: my-project\nstage: staging\nname: '{{ stage }}'"
    )
    (tmp_path / "group_vars" / "mlflow.yml").write_text("name: other")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "project-of-environment")
    config = CONFIG | {"project": "{{ deployment_project | default('') }}", "filters": ["labels.d={{ name }}", "a=b"]}
    cloud.get("compute", LIST, page(instance("a")), query={"filter": "(labels.d=staging) (a=b)"})
    assert set(parse(config).hosts) == {"a"}


def test_an_undefined_variable_of_a_template_is_an_error(parse: Parse) -> None:
    with pytest.raises(AnsibleParserError, match=r"filters: '.*' cannot be evaluated: 'deployment_name' is undefined"):
        parse(CONFIG | {"filters": ["labels.d={{ deployment_name }}"]})


@pytest.mark.parametrize("reason", ["SERVICE_DISABLED", "accessNotConfigured"])
def test_before_the_api_is_enabled_there_are_no_hosts(cloud: Cloud, parse: Parse, told: list[str], reason: str) -> None:
    cloud.fails("GET", "compute", LIST, 403, reason)
    assert not parse(CONFIG).hosts
    assert "not enabled in project my-project" in told[0]


def test_another_quota_project_is_an_error(cloud: Cloud, parse: Parse) -> None:
    service = "compute.googleapis.com"
    details = [{"reason": "SERVICE_DISABLED", "metadata": {"service": service, "consumer": "projects/7"}}]
    cloud.fails("GET", "compute", LIST, 403, "accessNotConfigured", details=details)
    known = {"name": f"projects/42/services/{service}", "state": "ENABLED"}
    cloud.get("serviceusage", f"v1/projects/my-project/services/{service}", known)
    with pytest.raises(AnsibleParserError, match="set-quota-project my-project"):
        parse(CONFIG)


def test_an_unreachable_zone_is_a_warning(cloud: Cloud, parse: Parse, told: list[str]) -> None:
    answer = page(instance("a"), unreachables=["zones/us-east1-b"])
    answer["items"]["zones/us-east1-c"] = {"warning": {"code": "UNREACHABLE", "message": "out of order"}}
    cloud.get("compute", LIST, answer)
    assert set(parse(CONFIG).hosts) == {"a"}
    assert told == [
        "zones/us-east1-b could not be reached: its VMs are missing from the inventory.",
        "zones/us-east1-c: UNREACHABLE: out of order",
    ]


@pytest.mark.parametrize(
    ("status", "reason", "advice"), [(403, "forbidden", "The account lacks"), (401, "authError", "gcloud auth")]
)
def test_an_error_names_the_remedy(cloud: Cloud, parse: Parse, status: int, reason: str, advice: str) -> None:
    cloud.fails("GET", "compute", LIST, status, reason)
    with pytest.raises(AnsibleParserError, match="Cannot list the instances of project my-project") as caught:
        parse(CONFIG)
    assert advice in str(caught.value)


def test_on_error_warn_prints_one_warning(cloud: Cloud, parse: Parse, told: list[str]) -> None:
    cloud.fails("GET", "compute", LIST, 401, "authError")
    assert not parse(CONFIG | {"on_error": "warn"}).hosts
    assert len(told) == 1
    assert told[0].startswith("The inventory has no VMs. Cannot list the instances of project my-project")


def test_missing_credentials_are_an_error(parse: Parse) -> None:
    with pytest.raises(AnsibleParserError, match="No usable Google credentials"):
        parse({"plugin": NAME, "project": "my-project", "auth_kind": "service_account_file"})


@pytest.mark.parametrize("strict", [True, False])
def test_a_variable_that_cannot_be_composed_is_an_error_with_strict(cloud: Cloud, parse: Parse, strict: bool) -> None:
    cloud.get("compute", LIST, page(instance("a")))
    config = CONFIG | {"compose": {"x": "networkInterfaces[3].networkIP"}, "strict": strict}
    if strict:
        with pytest.raises(AnsibleError, match="Could not set x for host a"):
            parse(config)
    else:
        assert "x" not in parse(config).hosts["a"].get_vars()


def test_the_cache_is_used_for_the_same_request(cloud: Cloud, parse: Parse, tmp_path: Path) -> None:
    config = CONFIG | {
        "cache": True,
        "cache_plugin": "jsonfile",
        "cache_connection": str(tmp_path / "cache"),
    }
    cloud.get("compute", LIST, page(instance("a")))
    assert set(parse(config).hosts) == {"a"}
    assert set(parse(config).hosts) == {"a"}
    cloud.get("compute", LIST, page(instance("b")), query={"filter": "(status=RUNNING)"})
    assert set(parse(config | {"filters": ["status=RUNNING"]}).hosts) == {"b"}
    cloud.get("compute", LIST, page(instance("c")))
    assert set(parse(config, cache=False).hosts) == {"c"}


@pytest.mark.parametrize(
    ("name", "ours"), [("a.gcp.yaml", True), ("a.gcp_instances.yml", True), ("gcp.yml", False), ("a.yml", False)]
)
def test_configuration_files_have_known_names(tmp_path: Path, name: str, ours: bool) -> None:
    (tmp_path / name).touch()
    assert plugin().verify_file(str(tmp_path / name)) is ours
