#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_dns_record
short_description: Manage a record set of Cloud DNS
version_added: 0.1.0
description:
  - Creates, updates and deletes the record set of one name and type in a managed zone of Cloud DNS.
  - Other record sets of the same name are not changed.
  - A name outside the zone is refused before any change.
  - A record set with a routing policy is not changed, only deleted.
  - In check mode, the record set of a zone that does not exist yet is planned.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
  - mlops.mlflow_gcp.gcp.dns
options:
  type:
    description: Type of the records in capital letters, such as V(A), V(AAAA), V(CNAME) or V(TXT).
    type: str
    required: true
  ttl:
    description:
      - Number of seconds for which resolvers may cache the record set.
      - Needed with O(state=present).
    type: int
  rrdatas:
    description:
      - Data of the records. Replaces the existing list. The order has no meaning. Needed with O(state=present).
      - Domain names are full names. A trailing dot and the case of letters have no meaning.
      - With O(type=TXT), an item in double quotes is one or more strings as in a zone file, of at most 255 bytes each.
        Each other item becomes one string, or several strings if it has more than 255 bytes. Clients join them.
      - With O(state=absent), a record set with other data is kept.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Point a name to a static address
  mlops.mlflow_gcp.gcp_dns_record:
    project: my-project
    zone: example-com
    name: mlflow.example.com
    type: A
    ttl: 300
    rrdatas:
      - 198.51.100.7

- name: State that the domain sends no mail
  mlops.mlflow_gcp.gcp_dns_record:
    project: my-project
    zone: example-com
    name: example.com
    type: TXT
    ttl: 3600
    rrdatas:
      - v=spf1 -all

- name: Allow one certificate authority
  mlops.mlflow_gcp.gcp_dns_record:
    project: my-project
    zone: example-com
    name: example.com
    type: CAA
    ttl: 3600
    rrdatas:
      - 0 issue "letsencrypt.org"

- name: Delete the address of a name, unless the name has another address by now
  mlops.mlflow_gcp.gcp_dns_record:
    project: my-project
    zone: example-com
    name: mlflow.example.com
    type: A
    rrdatas:
      - 198.51.100.7
    state: absent

- name: Delete the IPv6 address of a name
  mlops.mlflow_gcp.gcp_dns_record:
    project: my-project
    zone: example-com
    name: mlflow.example.com
    type: AAAA
    state: absent
"""

RETURN = r"""
resource:
  description: >-
    The record set as the API returns it, U(https://cloud.google.com/dns/docs/reference/rest/v1/resourceRecordSets).
    Null when absent or kept.
  returned: success
  type: dict
  sample:
    name: mlflow.example.com.
    type: A
    ttl: 300
    rrdatas: [198.51.100.7]
kept:
  description: Data of a record set that was not deleted, because O(rrdatas) is different. Empty otherwise.
  returned: success
  type: list
  elements: str
  sample: []
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any
from urllib.parse import quote

from ..module_utils import _formats
from ..module_utils._client import GoogleError, Json
from ..module_utils._dns import absolute, inside, normalized
from ..module_utils._errors import RefusedError
from ..module_utils._fields import Field
from ..module_utils._module import run
from ..module_utils._resource import Resource

_ONE_CNAME = (
    "Delete the other record sets of this name (state: absent), or choose another name. A CNAME is the only record set "
    "of its name; the name of the zone has NS and SOA sets, so use type ALIAS there."
)
_OWN_SETS = "Every zone has NS and SOA sets of its own name. Google deletes them only with the zone (gcp_dns_zone)."
_REMEDIES = {  # https://cloud.google.com/dns/docs/error-messages
    "cnameResourceRecordSetConflict": _ONE_CNAME,
    "recordTypeDisallowedAtZoneApex": _ONE_CNAME,
    "invalidZoneApex": _OWN_SETS,
}


class DnsRecord(Resource):
    """Manage dns.resourceRecordSets."""

    api = "dns"
    kind = "record set"
    collection = "projects/{project}/managedZones/{zone}/rrsets"
    create_body = {}
    formats = {
        "zone": _formats.name,
        "name": _formats.dns_name,
        "type": _formats.dns_type,
        "ttl": _formats.integer(0, 2**31 - 1),
        "rrdatas": _formats.each(_formats.pattern(r"(?s).*\S.*", "it is empty"), least=1),
    }
    options = {
        "zone": {"type": "str", "required": True},
        "name": {"type": "str", "required": True},
        "type": {"type": "str", "required": True},
        "ttl": {"type": "int"},
        "rrdatas": {"type": "list", "elements": "str"},
    }
    fields = {
        "name": Field(immutable=True, convert="absolute"),
        "type": Field(immutable=True),
        "ttl": Field(),
        "rrdatas": Field(unordered=True, convert="normalized"),
    }

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.kept: list[str] = []

    @property
    def self_path(self) -> str:
        """Return the path of the record set."""
        return f"{self.fill(self.collection)}/{quote(absolute(self.params['name']), safe='*')}/{self.params['type']}"

    @property
    def title(self) -> str:
        """Return the name, the type and the zone of the record set."""
        name = absolute(self.params["name"])
        return f"{self.kind} {name} of type {self.params['type']} in managed zone {self.params['zone']}"

    @cached_property
    def zone(self) -> Json | None:
        """Return the managed zone, or None."""
        return self.client.find(self.api, self.fill("projects/{project}/managedZones/{zone}"))

    def absolute(self, value: str) -> str:
        """Return a DNS name as the API returns it."""
        return absolute(value)

    def normalized(self, values: list[str]) -> list[str]:
        """Return the data of the records in one spelling."""
        return [normalized(self.params["type"], value) for value in values]

    def current_value(self, option: str, current: Json) -> Any:
        """Return the current value of an option in the spelling of ``desired``."""
        has = super().current_value(option, current)
        convert = self.fields[option].convert
        return getattr(self, convert)(has) if convert and has else has

    def read(self) -> Json | None:
        """Return the record set, or None if it is absent or kept. Refuse a name outside the zone."""
        if self.zone is None:
            return None
        if not inside(self.params["name"], self.zone["dnsName"]):
            raise RefusedError(
                f"{self.title} is outside the zone (dnsName {self.zone['dnsName']}). Set the option zone to the "
                "managed zone of this name, or use a name in the zone."
            )
        found = super().read()
        return None if found and self._is_kept(found) else found

    def _is_kept(self, found: Json) -> bool:
        """Return whether to keep a record set because it has other data than the data to delete."""
        self.kept = []
        expected = self.params["rrdatas"] if self.params["state"] == "absent" else None
        if expected and self.differs("rrdatas", self.normalized(expected), found):
            self.kept = list(found.get("rrdatas") or ["a routing policy"])
        return bool(self.kept)

    def found(self) -> Json:
        """Return the data of a record set that is kept."""
        return {"kept": self.kept}

    def check(self, current: Json) -> None:
        """Refuse to change a routing policy, which a list of data would replace."""
        if current.get("routingPolicy") and self.params["state"] == "present":
            raise RefusedError(
                f"{self.title} has a routing policy, which this module does not change. Use another name, or delete "
                "the record set first (state: absent)."
            )

    def patch(self, body: Json, current: Json, paths: Sequence[str]) -> None:
        """Update the record set. Send all its fields, as gcloud does."""
        kept = {key: current[key] for key in ("name", "type", "ttl", "rrdatas") if key in current}
        super().patch({**kept, **body}, current, paths)

    def explain(self, error: GoogleError) -> str:
        """Return the remedy for a conflict with another record set or with the zone's own sets."""
        return _REMEDIES.get(error.reason, "")


def main() -> None:
    """Run the module."""
    run(DnsRecord, required_if=[("state", "present", ["ttl", "rrdatas"])])


if __name__ == "__main__":
    main()
