# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The dynamic inventory: VM instances of Google Compute Engine."""

from __future__ import annotations

DOCUMENTATION = r"""
name: gcp_instances
short_description: VM instances of Google Compute Engine
version_added: 0.1.0
description:
  - Adds a host for each VM instance of a Google Cloud project.
  - The name of the configuration file ends in C(.gcp.yml), C(.gcp_instances.yml), C(.gcp.yaml) or
    C(.gcp_instances.yaml).
  - If no project is set, or the Compute Engine API is not enabled in the project, the inventory is empty. So playbooks
    can be checked without a cloud and started on an empty project.
  - The variables of a host are the fields of the VM instance, with the names of the API,
    U(https://cloud.google.com/compute/docs/reference/rest/v1/instances). C(zone) and C(machineType) are names instead
    of URLs, and C(metadata) is a dictionary. The plugin adds C(internal_ip), C(external_ip), C(project) and C(region).
  - Ansible reserves the names C(name) and C(tags). These fields are the variables C(instance_name) and
    C(network_tags).
author:
  - the mlops.mlflow_gcp authors (@mlops)
requirements:
  - python >= 3.11
  - google-auth
  - requests
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
options:
  plugin:
    description: The plugin's name.
    type: str
    required: true
    choices: [mlops.mlflow_gcp.gcp_instances]
  project:
    description:
      - The ID of the Google Cloud project. Without a project the inventory is empty.
      - An empty text means the environment. A Jinja template has the variables that O(filters) describes.
      - Requests with the credentials of a user count for this project, unless E(GOOGLE_CLOUD_QUOTA_PROJECT) is set.
    type: str
    env:  # Ansible uses the last variable that is set. The modules have the same order.
      - name: CLOUDSDK_CORE_PROJECT
      - name: GOOGLE_CLOUD_PROJECT
  zones:
    description: Only VMs of these zones are hosts.
    type: list
    elements: str
    default: []
  filters:
    description:
      - Only VMs that match all filters are hosts. Examples are C(labels.app=mlflow) and C(status=RUNNING).
      - The service evaluates the filters, U(https://cloud.google.com/compute/docs/reference/rest/v1/instances/aggregatedList).
      - A filter may be a Jinja template, such as V(labels.mlflow-deployment={{ deployment_name }}). Its variables are
        those of the group C(all) in C(group_vars) beside the inventory source, and the extra variables of the command
        line.
    type: list
    elements: str
    default: []
  fields:
    description:
      - Only these fields of a VM instance are read and become variables, besides C(name), C(zone) and C(selfLink).
        Examples are V(labels), V(networkInterfaces), and V(networkInterfaces/networkIP) for a part of a field.
      - If not set, all fields. Most inventories need few of them, and a selection makes the inventory of many VMs
        faster and smaller.
      - The variables C(internal_ip) and C(external_ip) need V(networkInterfaces). O(filters) may use any field.
      - Google refuses an unknown field.
    type: list
    elements: str
    default: []
  hostnames:
    description:
      - The name of a host in the inventory. An ordered list of preferences. The first preference with a value is used.
        If none has a value, V(name) is used.
      - A preference is the name of a variable, such as V(name), a dotted path into a variable, such as
        V(labels.hostname), V(public_ip) or V(private_ip) for the addresses of the first network interface, a Jinja
        expression, such as V(name ~ '.' ~ project), or a Jinja template, such as V({{ name }}.{{ project }}).
      - Two VMs must not have the same host name, in one inventory source or in several. This is an error that names
        both VMs, and no host of the second source is added. Ansible turns the error into a warning unless
        C(any_unparsed_is_failed) is set in the section C(inventory) of C(ansible.cfg).
      - A VM that two sources find is one host.
      - V(name) is unique in a zone only. Use V(name ~ '.' ~ zone ~ '.' ~ project) for VMs of several projects or zones.
    type: list
    elements: str
    default: [name]
  auth_kind:
    description:
      - Source of the credentials. See any module of this collection.
    type: str
    default: application
    choices: [application, service_account_file, access_token]
    env:
      - name: GCP_AUTH_KIND
  service_account_file:
    description: Path of the JSON key of a service account. Required with O(auth_kind=service_account_file).
    type: path
    env:
      - name: GCP_SERVICE_ACCOUNT_FILE
  access_token:
    description: An OAuth 2.0 access token. Required with O(auth_kind=access_token).
    type: str
    env:
      - name: CLOUDSDK_AUTH_ACCESS_TOKEN
  impersonate_service_account:
    description: E-mail address of a service account to impersonate.
    type: str
    env:
      - name: CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT
  on_error:
    description:
      - The reaction if the VMs cannot be listed, for example because credentials have expired.
      - V(fail) is an error of the inventory. Ansible adds the errors of other plugins that tried to read the file.
      - V(warn) prints one warning, and the inventory is empty. For playbooks that check their credentials themselves.
    type: str
    default: fail
    choices: [fail, warn]
  timeout:
    description: Time limit in seconds, with all repeated requests.
    type: int
    default: 120
"""

EXAMPLES = r"""
# inventory/mlflow.gcp.yml: the running VMs of a deployment, with their external addresses
plugin: mlops.mlflow_gcp.gcp_instances
project: my-project
zones:
  - europe-west1-b
filters:
  - labels.app=mlflow
  - status=RUNNING
compose:
  ansible_host: external_ip
groups:
  mlflow: true
keyed_groups:
  - key: labels
    prefix: label
  - key: zone
    prefix: zone

---
# inventory/several.gcp.yml: one of several sources whose VMs may have the same name
plugin: mlops.mlflow_gcp.gcp_instances
project: my-project
hostnames:
  - name ~ '.' ~ zone ~ '.' ~ project
compose:
  ansible_host: external_ip
keyed_groups:
  - key: project
    prefix: project

---
# inventory/addresses.gcp.yml: the label `hostname` if the VM has it, otherwise an address
plugin: mlops.mlflow_gcp.gcp_instances
project: my-project
hostnames:
  - labels.hostname
  - public_ip
  - private_ip

---
# inventory/large.gcp.yml: thousands of VMs, with the variables that the playbooks use
plugin: mlops.mlflow_gcp.gcp_instances
project: my-project
fields:
  - labels
  - networkInterfaces
compose:
  ansible_host: external_ip
keyed_groups:
  - key: labels
    prefix: label
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ansible.constants import LOCALHOST
from ansible.errors import AnsibleError, AnsibleParserError, AnsibleUndefinedVariable
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.utils.vars import combine_vars
from ansible.vars.plugins import get_vars_from_inventory_sources
from ansible.vars.reserved import is_reserved_name

from ..filter.deployment_hosts import Identity, identity
from ..module_utils import _auth
from ..module_utils._advice import advice, login
from ..module_utils._client import Client, GoogleError, Json
from ..module_utils._fields import get_at

if TYPE_CHECKING:
    from ansible.inventory.data import InventoryData
    from ansible.parsing.dataloader import DataLoader

ENDINGS = tuple(f".{name}.{ending}" for name in ("gcp", "gcp_instances") for ending in ("yml", "yaml"))
RENAMED = {"name": "instance_name", "tags": "network_tags"}
# The name of a label may contain a hyphen, which is a minus sign in an expression.
VARIABLE_PATH = re.compile(r"[A-Za-z_][\w-]*(\.[\w-]+)*")
IDENTITY_FIELDS = ("name", "zone", "selfLink")
UNIQUE = "name ~ '.' ~ zone ~ '.' ~ project"


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):  # type: ignore[misc]
    """compute.instances.aggregatedList as hosts."""

    NAME = "mlops.mlflow_gcp.gcp_instances"

    def verify_file(self, path: str) -> bool:
        """Return whether the name of the file is a name for this plugin."""
        return bool(super().verify_file(path)) and path.endswith(ENDINGS)

    def parse(self, inventory: InventoryData, loader: DataLoader, path: str, cache: bool = True) -> None:
        """Fill the inventory."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        self._variables_of_all = combine_vars(
            get_vars_from_inventory_sources(loader, [path], [inventory.groups["all"]], "all"), self._vars
        )
        project = self._templated("project", self.get_option("project") or "") or _project_of_environment()
        filters = [self._templated("filters", each) for each in self.get_option("filters")]
        if not project:
            self.display.v(
                f"{path}: no project is set (option project, GOOGLE_CLOUD_PROJECT), so the inventory has no VMs."
            )
            return
        try:
            instances = self._instances(project, filters, self.get_cache_key(path), cache)
        except AnsibleParserError as error:
            if self.get_option("on_error") == "fail":
                raise
            self.display.warning(f"The inventory has no VMs. {error}")
            return
        for host, variables in self._hosts(instances, project).items():
            self._add(host, variables)

    def _templated(self, option: str, text: str) -> str:
        if not self.templar.is_template(text):
            return text
        self.templar.available_variables = self._variables_of_all
        try:
            return str(self.templar.template(text))
        except AnsibleError as error:
            raise AnsibleParserError(f"{option}: '{text}' cannot be evaluated: {error}") from error

    def _instances(self, project: str, filters: list[str], key: str, cache: bool) -> list[Json]:
        use = self.get_option("cache")
        # The cache is valid only for the same project and filters, which the file or the environment may change.
        asked = {"project": project, "filters": filters, "fields": self.get_option("fields")}
        if use and cache:
            cached = self._cache.get(key) or {}
            if cached.get("asked") == asked:
                return list(cached["instances"])
        instances = self._fetch(project, filters)
        if use and instances:  # an empty project may soon have VMs
            self._cache[key] = {"asked": asked, "instances": instances}
        return instances

    def _fetch(self, project: str, filters: list[str]) -> list[Json]:
        if _auth.IMPORT_ERROR:
            raise AnsibleParserError(
                f"The inventory needs the Python libraries google-auth and requests: {_auth.IMPORT_ERROR}"
            )
        names = ("auth_kind", "service_account_file", "access_token", "impersonate_service_account")
        auth = _auth.AuthOptions.of({name: self.get_option(name) for name in names})
        try:
            session = _auth.session(auth, project)
        except Exception as error:  # google-auth raises errors of its own, OSError and ValueError
            raise AnsibleParserError(f"No usable Google credentials: {error} {login(auth)}") from error
        client = Client(session, project=project, timeout=float(self.get_option("timeout")))
        try:
            return list(self._list(client, project, filters))
        except GoogleError as error:
            if error.service_disabled:
                self.display.warning(
                    f"The Compute Engine API is not enabled in project {project} yet, so the inventory has no VMs."
                )
                return []
            message = f"Cannot list the instances of project {project}: {error} {advice(error, project, auth)}".rstrip()
            raise AnsibleParserError(message) from error

    def _list(self, client: Client, project: str, filters: list[str]) -> Iterator[Json]:
        query = " ".join(f"({item})" for item in filters)
        path = f"projects/{project}/aggregated/instances"
        params = {"filter": query} if query else {}
        if fields := self.get_option("fields"):
            instances = ",".join(dict.fromkeys((*IDENTITY_FIELDS, *fields)))
            params["fields"] = f"nextPageToken,unreachables,items/*/warning,items/*/instances({instances})"
        for page in client.pages("compute", path, params):
            for place in page.get("unreachables") or ():
                self.display.warning(f"{place} could not be reached: its VMs are missing from the inventory.")
            for scope, found in (page.get("items") or {}).items():
                warning = found.get("warning") or {}
                if warning and warning.get("code") != "NO_RESULTS_ON_PAGE":
                    self.display.warning(f"{scope}: {warning.get('code')}: {warning.get('message')}")
                yield from found.get("instances") or ()

    def _hosts(self, instances: list[Json], project: str) -> dict[str, Json]:
        """Return variables by host name. Two VMs of one name are an error, before any host is added."""
        zones, fields = self.get_option("zones"), self.get_option("fields")
        hosts: dict[str, Json] = {}
        for instance in instances:
            variables = _variables(instance, project, fields)
            if zones and variables["zone"] not in zones:
                continue
            host = self._hostname(variables)
            self._require_unique(host, variables, hosts)
            hosts[host] = variables
        return hosts

    def _require_unique(self, host: str, variables: Json, hosts: Mapping[str, Json]) -> None:
        ours = _identity(variables)
        remedy = f'Set the option hostnames of each source so that names are unique, such as hostnames: ["{UNIQUE}"].'
        if host in LOCALHOST:
            raise AnsibleParserError(f"VM {ours} would replace {host}, which is the control node. {remedy}")
        if host in hosts:
            other, source = _identity(hosts[host]), ""
        elif host in self.inventory.hosts:
            known = self.inventory.hosts[host].vars
            other, source = identity(known), f" of inventory source {known.get('inventory_file')}"
        else:
            return
        if other not in (None, ours):  # None: a host of another plugin, which may add variables to a VM
            raise AnsibleParserError(
                f"Two VMs have the host name {host}: {other}{source} and {ours}. No host of this source is added."
                f" {remedy}"
            )

    def _add(self, host: str, variables: Json) -> None:
        strict = self.get_option("strict")
        self.inventory.add_host(host)
        for name, value in variables.items():
            name = RENAMED.get(name, name)
            if not is_reserved_name(name):
                self.inventory.set_variable(host, name, value)
        self._set_composite_vars(self.get_option("compose"), variables, host, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, host, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host, strict=strict)

    def _compose(self, template: Any, variables: Mapping[str, Any], *arguments: Any, **options: Any) -> Any:
        """Return the value of an expression. Ansible compiles the expression again for each VM: a millisecond."""
        if template in variables and not self.get_option("use_extra_vars"):
            return variables[template]
        return super()._compose(template, variables, *arguments, **options)

    def _hostname(self, variables: Json) -> str:
        addresses = {"public_ip": variables.get("external_ip"), "private_ip": variables.get("internal_ip")}
        for preference in self.get_option("hostnames"):
            if name := self._preferred(preference, addresses | variables):
                return name
        return str(variables["name"])

    def _preferred(self, preference: str, variables: Json) -> str:
        """Return the value of a preference of the option hostnames, or an empty text if the VM has no such value."""
        if VARIABLE_PATH.fullmatch(preference):
            value = get_at(variables, preference)
        else:
            try:
                value = self._evaluated(preference, variables)
            except AnsibleUndefinedVariable:
                return ""
            except AnsibleError as error:
                raise AnsibleParserError(
                    f"hostnames: '{preference}' cannot be evaluated for VM {_identity(variables)}: {error}"
                ) from error
        if value is not None and not isinstance(value, (str, int)):
            raise AnsibleParserError(
                f"hostnames: '{preference}' of VM {_identity(variables)} is no text: {value!r}. Name a part of it."
            )
        return str(value or "").strip()

    def _evaluated(self, preference: str, variables: Json) -> Any:
        if "{{" not in preference and "{%" not in preference:
            return self._compose(preference, variables)
        self.templar.available_variables = variables
        return self.templar.template(preference)


def _project_of_environment() -> str:
    return os.environ.get("GOOGLE_CLOUD_PROJECT") or os.environ.get("CLOUDSDK_CORE_PROJECT") or ""


def _identity(variables: Json) -> Identity | None:
    return identity(variables | {"instance_name": variables["name"]})


def _variables(instance: Mapping[str, Any], project: str, fields: Collection[str]) -> Json:
    zone = str(instance["zone"]).rpartition("/")[2]
    interfaces = instance.get("networkInterfaces") or [{}]
    configs = interfaces[0].get("accessConfigs") or [{}]
    # The service omits empty fields. Their variables exist, unless the option `fields` excludes the field.
    read = {re.split(r"[/(]", field)[0] for field in fields}
    derived = {
        "machineType": {"machineType": str(instance.get("machineType", "")).rpartition("/")[2]},
        "labels": {"labels": instance.get("labels") or {}},
        "tags": {"tags": (instance.get("tags") or {}).get("items") or []},
        "metadata": {
            "metadata": {
                item["key"]: item.get("value", "") for item in (instance.get("metadata") or {}).get("items") or ()
            }
        },
        "networkInterfaces": {
            "internal_ip": interfaces[0].get("networkIP", ""),
            "external_ip": configs[0].get("natIP", ""),
        },
    }
    variables = {**instance, "zone": zone, "region": zone.rpartition("-")[0], "project": project}
    for field, values in derived.items():
        if field in read or not fields:
            variables |= values
    return variables
