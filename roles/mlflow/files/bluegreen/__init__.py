# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Blue/green cutover of the server between two slots. The program is switch.py.

    machine.py    processes, durable files and time of the VM
    slots.py      configuration, start and stop of a slot; the desired state
    traffic.py    the link that selects the slot for nginx
    journal.py    request, progress and result of a cutover
    database.py   schema.py in the Python of a release
    switching.py  the steps of a cutover and their rollback

Runs as root on Debian's Python and imports the standard library only.
"""
