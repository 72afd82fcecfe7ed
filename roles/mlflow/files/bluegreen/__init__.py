# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Two slots for the server, blue and green, one of which has the traffic. The program is switch.py, beside this.

    machine.py    processes, files that survive a power cut, time
    slots.py      what a slot runs, what is wanted, start and stop
    traffic.py    the link that decides which slot nginx talks to
    journal.py    what was asked, how far it is, how it ended
    database.py   schema.py in a release's own Python
    switching.py  the steps of a switch, and the way back from each of them

Runs as root on Debian's Python, with its standard library alone.
"""
