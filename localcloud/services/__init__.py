# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Google's APIs, one package each. All packages have the same layout.

- `__init__.py`: a description of the emulated part, and its differences to Google.
- `api.py`: the `Service` object with all differences to other services, and functions that all files of the API share.
- `COLLECTION.py`: the handlers of one collection of the API, as the contract names it (`instances.py`).
- Other files: one idea each, without handlers. No name of a file begins with `_`.
"""

from __future__ import annotations

import importlib
import pkgutil

from localcloud.framework.service import Service


def load() -> list[Service]:
    """Import all modules of all services, which binds their handlers, and return the services."""
    found: list[Service] = []
    for package in sorted(pkgutil.iter_modules(__path__, f"{__name__}."), key=lambda each: each.name):
        path = importlib.import_module(package.name).__path__
        modules = [importlib.import_module(each.name) for each in pkgutil.iter_modules(path, f"{package.name}.")]
        values = [value for module in modules for value in vars(module).values()]
        found += [value for value in dict.fromkeys(v for v in values if isinstance(v, Service)) if value not in found]
    return found
