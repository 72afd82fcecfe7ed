# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Blue/green cutover of the server between two slots, without losing a request.

slots.py      configuration, start and stop of a slot; the desired state
traffic.py    the link that selects the slot for nginx
journal.py    request, progress and result of a cutover
database.py   the schema jobs of a cutover
switching.py  the steps of a cutover and their rollback
requests.py   ask for a cutover, wait for it, approve it
status.py     the status of the deployment
"""
