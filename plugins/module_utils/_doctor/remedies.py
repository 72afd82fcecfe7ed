# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Commands that the remedies of several checks name."""

from __future__ import annotations

SITE = "ansible-playbook site.yml"
BACKUP = "ansible-playbook playbooks/backup.yml"
CONFIGURE = "ansible-playbook playbooks/configure.yml"
ROTATE = "ansible-playbook playbooks/rotate.yml"
UPGRADE = "ansible-playbook playbooks/upgrade.yml"
LOGS = "read the logs on the VM: journalctl -u mlflow -u 'mlflow@*' -u nginx"
