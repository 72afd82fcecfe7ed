# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""What Python compiles out of a zip, which is how Ansible sends modules, it compiles once in a test session.

Python itself does so twice for each import. Where a file cannot be read or written, it is compiled as ever.
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
    # Here, as every Python that starts reads this file.
    import contextlib
    import importlib.util
    import marshal
    from pathlib import Path

    # By Python too: what one compiled another cannot read.
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
