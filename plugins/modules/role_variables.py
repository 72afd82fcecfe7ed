#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of this name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: role_variables
short_description: Refuse mistyped names and invalid values of role variables
version_added: 0.1.0
description:
  - Fails if a variable of the play resembles a role variable of this collection but is none. No role would read it.
  - Any other variable is accepted. Names that begin with an underscore or with C(ansible_) are not compared.
  - Two names are similar if C(difflib.get_close_matches) of Python returns them with a cutoff of 0.87.
  - If the fact C(mlflow_deployment) is set, the names are not compared. M(mlops.mlflow_gcp.mlflow_deployment) has
    compared them.
  - The values of the roles in O(roles) are checked as their argument specifications say, then together with each other.
options:
  roles:
    description: Roles of this collection whose values are checked.
    type: list
    elements: str
    choices: [authentication_basic, authentication_oauth2_proxy, certificates, credentials, mlflow, nginx]
    default: []
attributes:
  check_mode:
    description: Can run in check_mode and return changed status without modifying the target.
    support: full
  diff_mode:
    description: Returns no diff.
    support: none
notes:
  - Runs on the control node and needs no connection to the host.
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Refuse mistyped role variables
  mlops.mlflow_gcp.role_variables:

- name: Check the role variables of the role nginx too
  mlops.mlflow_gcp.role_variables:
    roles: [nginx]
"""

RETURN = r""" # """
