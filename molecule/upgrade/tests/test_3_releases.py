# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Releases that the role has built: an old and a new one."""

from __future__ import annotations

import pytest

from tests.support.machine import Machine

# Prints the number of modules that a server imports from its release, and the modules without a file of compiled code.
IMPORTED = """
import importlib.util, os, sys
os.environ["_MLFLOW_SERVER_FILE_STORE"] = "sqlite:////tmp/imported.db"
import google.cloud.storage, mlflow.server.auth, psycopg2
if importlib.util.find_spec("mlflow.server.fastapi_app"):
    import mlflow.server.fastapi_app
files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
files = {name: file for name, file in files.items() if file.startswith(sys.prefix) and file.endswith(".py")}
compiled = {name: importlib.util.cache_from_source(file) for name, file in files.items()}
print(len(files), *(name for name in files if not os.path.exists(compiled[name])))
"""


@pytest.mark.parametrize("version", ["2.22.5", "3.17.2"])
def test_imported_modules_are_compiled(machine: Machine, version: str) -> None:
    """The user of the server cannot write compiled files, so each process would compile the modules again."""
    python = f"{machine.release(version)}/bin/python"
    answer = machine.run("runuser", "-u", "mlflow", "--", "env", "--chdir=/", python, "-I", "-c", IMPORTED)
    count, *uncompiled = answer.splitlines()[-1].split()
    assert int(count) > 1000
    assert uncompiled == []
