# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Purge deleted runs, logged models, experiments and finished jobs of MLflow: artifacts and database rows.

    report.py     items, options, the report
    artifacts.py  the artifact store
    tracking.py   the tracking database
    purge.py      the selection and the purge of items
    command.py    the job `gc`

The rules are those of `mlflow gc`, with these differences:

- Artifacts of `mlflow-artifacts:` locations are deleted in the artifact store itself, not through the server.
- One item after the other: artifacts first, then the rows. An item that fails keeps its rows, and the others go on.
- Artifacts of a registered model version are kept, and so are the rows that refer to them.
- An experiment takes the artifacts of its logged models and traces with it.
"""
