# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Types of objects and permissions of MLflow's roles, and their valid combinations: pure functions.

Identical to ``mlflow/server/auth/permissions.py`` of MLflow 3.17; a unit test compares both.
"""

from __future__ import annotations

ALL = "*"
WORKSPACE = "workspace"
# Types whose permissions may name one object.
OBJECT_TYPES = (
    "experiment",
    "registered_model",
    "prompt",
    "scorer",
    "gateway_secret",
    "gateway_endpoint",
    "gateway_model_definition",
    "mcp_server",
)
# Parts of an object. Their permissions apply to all objects of a workspace.
PART_TYPES = (
    "run",
    "trace",
    "assessment",
    "logged_model",
    "review_queue",
    "registered_model_version",
    "prompt_version",
    "scorer_version",
    "mcp_server_version",
)
PERMISSIONS = ("READ", "USE", "EDIT", "MANAGE", "DENY")
WORKSPACE_PERMISSIONS = ("USE", "MANAGE")
# First release with roles, with `mcp_server`, and with DENY and the parts of objects.
ROLES, MCP_SERVERS, PARTS = (3, 12), (3, 15), (3, 17)


def wrong_grant(resource_type: str, pattern: str, permission: str) -> str:
    """Return the error in a permission, or an empty string."""
    if resource_type not in OBJECT_TYPES and pattern != ALL:
        return f"a permission on {resource_type} applies to all objects of this type ('{ALL}'), not to '{pattern}'"
    allowed = WORKSPACE_PERMISSIONS if resource_type == WORKSPACE else PERMISSIONS
    if permission not in allowed:
        return f"{permission} is not possible on {resource_type}; possible are {', '.join(allowed)}"
    return ""


def first_release(resource_type: str, permission: str) -> tuple[int, int]:
    """Return the major and minor version of the first MLflow release that knows a permission of a role."""
    if resource_type in PART_TYPES or permission == "DENY":
        return PARTS
    return MCP_SERVERS if resource_type == "mcp_server" else ROLES


def is_own_role(name: str, user_id: int) -> bool:
    """Return whether a role is the hidden role in which MLflow keeps the permissions of one user."""
    return name == f"__user_{user_id}__"


def is_hidden_role(name: str) -> bool:
    """Return whether a role is a hidden role of any user. MLflow reserves the prefix."""
    return name.startswith("__user_")
