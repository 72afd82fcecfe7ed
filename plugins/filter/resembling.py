# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Names of variables whose beginning was mistyped."""

from __future__ import annotations

DOCUMENTATION = r"""
name: resembling
short_description: Variables that begin almost, but not quite, like a role's settings
version_added: 0.2.0
description:
  - Settings begin with the name of their role and an underscore. A mistake in that beginning makes a name that no role
    looks at; this filter finds it. The role P(mlops.mlflow_gcp.settings#role) refuses such names.
  - How alike two beginnings are is what C(difflib.get_close_matches) of Python says, with a cutoff of 0.8.
options:
  _input:
    description: Names of variables.
    type: list
    elements: str
    required: true
  roles:
    description: Names of the roles whose settings may be meant.
    type: list
    elements: str
    required: true
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Show what was meant
  ansible.builtin.debug:
    # {'mlfow_version': 'mlflow_version'}
    msg: "{{ ['mlfow_version', 'mlflow_workers', 'my_bucket'] | mlops.mlflow_gcp.resembling(['mlflow', 'nginx']) }}"
"""

RETURN = r"""
_value:
  description:
    - What may have been meant, by the name that was given.
    - Names that begin like no role's settings, or exactly so, are left out.
  type: dict
"""

from collections.abc import Callable, Iterable
from difflib import get_close_matches

CUTOFF = 0.8
# A shorter name resembles the beginnings of other people's variables: gc and gcp_project.
SHORTEST = 4


def resembling(names: Iterable[str], roles: Iterable[str]) -> dict[str, str]:
    """Return what may have been meant, by the name that was given."""
    known, meant = list(roles), {}
    long = [role for role in known if len(role) >= SHORTEST]
    for name in names:
        beginning, underscore, rest = name.partition("_")
        # Names that begin with an underscore are a role's own.
        if underscore and beginning and beginning not in known:
            for role in get_close_matches(beginning.lower(), long, n=1, cutoff=CUTOFF):
                meant[name] = f"{role}_{rest}"
    return meant


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return it by its name."""
        return {"resembling": resembling}
