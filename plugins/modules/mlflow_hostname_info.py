#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_hostname_info
short_description: Compare the addresses of a host name with the address of a deployment
version_added: 0.1.0
description:
  - Resolves a host name on the control node, as clients there do. A name that does not resolve is not an error.
  - Ends after O(timeout), also if no name server answers.
author:
  - the mlops.mlflow_gcp authors (@mlops)
options:
  hostname:
    description: The host name.
    type: str
    required: true
  address:
    description: IPv4 address to which the host name should resolve.
    type: str
    required: true
  timeout:
    description: Maximum number of seconds.
    type: float
    default: 5
attributes:
  check_mode:
    description: Only reads.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
"""

EXAMPLES = r"""
- name: Resolve the host name
  mlops.mlflow_gcp.mlflow_hostname_info:
    hostname: mlflow.example.com
    address: 198.51.100.7
  register: found
"""

RETURN = r"""
resolves:
  description: Whether O(address) is one of RV(addresses).
  returned: success
  type: bool
  sample: false
addresses:
  description: IPv4 addresses of the host name, sorted.
  returned: success
  type: list
  elements: str
  sample: [192.0.2.1]
cause:
  description: Cause if there is no address. Empty otherwise.
  returned: success
  type: str
  sample: ""
"""

import socket
import threading

from ansible.module_utils.basic import AnsibleModule

OPTIONS = {
    "hostname": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "timeout": {"type": "float", "default": 5},
}


def resolve(hostname: str, timeout: float) -> tuple[list[str], str]:
    """Return the IPv4 addresses of a name and, if there are none, the cause."""
    addresses: set[str] = set()
    cause = f"no name server answered within {timeout:g} s"

    def ask() -> None:
        nonlocal cause
        try:
            found = socket.getaddrinfo(hostname, None, socket.AF_INET, socket.SOCK_STREAM)
            addresses.update(str(entry[4][0]) for entry in found)
        except (OSError, UnicodeError) as error:
            cause = str(error)

    # getaddrinfo has no timeout. The process ends without waiting for a daemon thread.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout)
    found = sorted(addresses)
    return found, "" if found else cause


def main() -> None:
    """Run the module."""
    module = AnsibleModule(OPTIONS, supports_check_mode=True)
    params = module.params
    addresses, cause = resolve(params["hostname"], params["timeout"])
    module.exit_json(changed=False, resolves=params["address"] in addresses, addresses=addresses, cause=cause)


if __name__ == "__main__":
    main()
