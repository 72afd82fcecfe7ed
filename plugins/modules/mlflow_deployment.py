#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Documentation of the action plugin of this name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_deployment
short_description: Check the role variables and describe the deployment
version_added: 0.1.0
description:
  - Computes the names of the resources of a deployment, its paths on the control node and the effective release of
    MLflow. The inputs are the role variables of this collection, with their defaults.
  - Refuses role variables whose values Google would refuse, and variables that are probably typing mistakes.
  - The role P(mlops.mlflow_gcp.deployment#role) publishes the result as the fact C(mlflow_deployment).
options:
  records:
    description: The records of the deployment, from M(mlops.mlflow_gcp.mlflow_state_info).
    type: dict
    default: {}
attributes:
  check_mode:
    description: Can run in check_mode and return changed status without modifying the target.
    support: full
  diff_mode:
    description: Returns no diff.
    support: none
notes:
  - Runs on the control node and needs no connection to the host. It makes no request.
author:
  - the mlops.mlflow_gcp authors (@mlops)
"""

EXAMPLES = r"""
- name: Describe the deployment
  mlops.mlflow_gcp.mlflow_deployment:
  register: described

- name: Show the name of the artifact bucket
  ansible.builtin.debug:
    msg: "{{ described.deployment.bucket.name }}"
"""

RETURN = r"""
deployment:
  description: The description of the deployment. The README of the role C(deployment) lists its keys.
  returned: success
  type: dict
"""
