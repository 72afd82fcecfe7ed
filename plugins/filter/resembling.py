# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Find variables with a mistyped prefix."""

from __future__ import annotations

DOCUMENTATION = r"""
name: resembling
short_description: Variables whose prefix resembles the name of a role
version_added: 0.1.0
description:
  - Role variables begin with the name of the role and an underscore. No role reads a variable with a mistyped prefix.
    This filter finds such names, and the role P(mlops.mlflow_gcp.settings#role) refuses them.
  - Two prefixes are similar if C(difflib.get_close_matches) of Python returns them with a cutoff of 0.8.
options:
  _input:
    description: Names of variables.
    type: list
    elements: str
    required: true
  roles:
    description: Names of the roles.
    type: list
    elements: str
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Show the similar name
  ansible.builtin.debug:
    # {'mlfow_version': 'mlflow_version'}
    msg: "{{ ['mlfow_version', 'mlflow_workers', 'my_bucket'] | mlops.mlflow_gcp.resembling(['mlflow', 'nginx']) }}"
"""

RETURN = r"""
_value:
  description:
    - The similar name for each mistyped name.
    - Names with the exact prefix of a role, or with a prefix that resembles no role, are not included.
  type: dict
"""

from collections.abc import Callable, Iterable
from difflib import get_close_matches

CUTOFF = 0.8
# A shorter role name resembles prefixes of unrelated variables, such as gc and gcp_project.
SHORTEST = 4


def resembling(names: Iterable[str], roles: Iterable[str]) -> dict[str, str]:
    """Return the similar name for each mistyped name."""
    known, meant = list(roles), {}
    long = [role for role in known if len(role) >= SHORTEST]
    for name in names:
        beginning, underscore, rest = name.partition("_")
        # Names that begin with an underscore are private to a role.
        if underscore and beginning and beginning not in known:
            for role in get_close_matches(beginning.lower(), long, n=1, cutoff=CUTOFF):
                meant[name] = f"{role}_{rest}"
    return meant


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name."""
        return {"resembling": resembling}
