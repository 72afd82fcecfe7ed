# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Compile the files of a zip once in a test session. Ansible sends modules as zip files.

Python compiles such a file twice for each import. If the cache is not readable or writable, Python compiles as usual.
"""

from __future__ import annotations

import os
import sys
import zipimport
from types import CodeType

FOLDER = os.environ.get("MLFLOW_GCP_TEST_QUICKER")
compile_source = getattr(zipimport, "_compile_source", None)


def compile_once(pathname: str, source: bytes) -> CodeType:
    """Return the code of a source, which may have been compiled at another path."""
    # Import here, because every Python process loads this file at its start.
    import contextlib
    import importlib.util
    import marshal
    from pathlib import Path

    # The name contains the Python version, because the bytecode of versions differs.
    kept = Path(f"{FOLDER}/compiled/{sys.implementation.cache_tag}-{importlib.util.source_hash(source).hex()}")
    with contextlib.suppress(OSError):
        return marshal.loads(kept.read_bytes())
    code = compile_source(pathname, source)
    part = kept.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):
        part.write_bytes(marshal.dumps(code))
        part.rename(kept)
    return code


if FOLDER and compile_source:
    zipimport._compile_source = compile_once
