# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The program on the VM: mlflowctl. `cli.py` defines its commands.

Commands that use the databases are jobs (`job.py`): they run in the Python of a release, as the user and with the
credentials of the server. All other commands run in Debian's Python and import the standard library only.
"""
