# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Shared documentation of the modules for MLflow. The specifications are in plugins/module_utils/_mlflow_module.py."""

from __future__ import annotations


class ModuleDocFragment:
    """Options and attributes of the modules."""

    DOCUMENTATION = r"""
requirements:
  - python >= 3.11
  - requests
options:
  tracking_uri:
    description:
      - Address of the MLflow server, such as V(https://mlflow.example.com), with the server's path prefix if it has
        one.
      - If not set, the module uses the environment variable E(MLFLOW_TRACKING_URI).
    type: str
    required: true
  tracking_username:
    description:
      - MLflow user of the requests. It must be an administrator.
      - If not set, the module uses the environment variable E(MLFLOW_TRACKING_USERNAME).
    type: str
  tracking_password:
    description:
      - Password of O(tracking_username).
      - If not set, the module uses the environment variable E(MLFLOW_TRACKING_PASSWORD).
    type: str
  tracking_token:
    description:
      - Bearer token for a server that accepts tokens. O(tracking_username) has precedence.
      - If not set, the module uses the environment variable E(MLFLOW_TRACKING_TOKEN).
    type: str
  ca_path:
    description:
      - Path of a file with the CA certificates for the server's certificate.
      - If not set, the module uses the environment variable E(MLFLOW_TRACKING_SERVER_CERT_PATH), and otherwise the
        CAs of the host on which the module runs.
    type: path
  validate_certs:
    description: Whether to verify the server's certificate. V(false) sends the password to any server at this address.
    type: bool
    default: true
  timeout:
    description: Maximum number of seconds of the task, including repeated requests.
    type: int
    default: 120
  workspace:
    description:
      - Workspace of roles, experiments and other objects. Users exist in all workspaces.
      - Only a server with workspaces (C(MLFLOW_ENABLE_WORKSPACES)) accepts another value. The workspace must exist.
    type: str
    default: default
attributes:
  check_mode:
    description: Can run in C(check_mode) and report changes without making them.
    support: full
  diff_mode:
    description: Returns the differences before and after, without secrets.
    support: full
notes:
  - The server must run MLflow's authentication (C(mlflow server --app-name basic-auth)).
  - The module compares and changes only options that are set in the task. A list replaces the existing list.
  - The module runs on any host that can reach the server, usually on the control node (C(delegate_to) localhost).
  - The settings of the connection can be set once for all modules in C(module_defaults), with the group
    C(group/mlops.mlflow_gcp.mlflow).
"""

    STATE = r"""
options:
  state:
    description:
      - Whether the object should exist.
    type: str
    default: present
    choices: [present, absent]
"""
