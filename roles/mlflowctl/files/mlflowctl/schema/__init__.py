# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Database operations of an upgrade: compare schemas, copy, migrate, restore.

    names.py      names and marks of the databases that an upgrade keeps
    server.py     the session that renames, copies and drops databases
    exchange.py   copy, restore, forget
    revisions.py  heads, migrate
    numbers.py    size, counts

Stop the server before copy, restore and migrate. These commands end all sessions of the databases.

A command can be killed at any point. PostgreSQL renames all databases in one transaction, so the names show one of two
states: before the command, or after it. Unfinished copies and databases to drop have separate names, and the next
command drops them. The next command also ends the sessions of a killed one, because a PostgreSQL server continues the
statement of a dead client for some time.

The option `--id` names the upgrade. With it, a repeated `copy` does nothing, and `restore` ignores the databases of an
earlier upgrade. The PostgreSQL user needs CREATEDB and membership in the role that owns the databases, as in Cloud SQL.
"""
