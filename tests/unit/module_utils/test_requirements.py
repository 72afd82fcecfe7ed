# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Two locks become one release."""

from __future__ import annotations

import hashlib

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.filter.locked_release import locked_release
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._requirements import merge, problem

PIN = "    --hash=sha256:aa \\\n    --hash=sha256:bb"
LOCK = f"""# comment
flask==3.1 \\
{PIN}
gunicorn==26 ; sys_platform != 'win32' \\
{PIN}
numpy==1 ; python_full_version < '3.12' \\
{PIN}
numpy==2 ; python_full_version >= '3.12' \\
{PIN}
"""
EXTRA = f"Gunicorn[gevent]==23 \\\n{PIN}\nnumpy==3 \\\n{PIN}\nown_app==1.0 \\\n{PIN}\n"


def pins(lock: str) -> list[str]:
    return [line.split(" \\")[0] for line in lock.splitlines() if line and not line.startswith(" ")]


def test_the_version_of_the_user_replaces_every_line_of_the_package() -> None:
    merged = merge(LOCK, EXTRA)
    assert pins(merged) == ["flask==3.1", "Gunicorn[gevent]==23", "numpy==3", "own_app==1.0"]
    assert merged.count("--hash=sha256:") == 8


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ("", "contains no package"),
        ("own==1\n", "not a pinned package with hashes (own==1)"),
        ("-r other.txt\n", "(-r other.txt)"),
        (f"own>=1 \\\n{PIN}\n", "(own>=1)"),
        ("--index-url https://index.example\n" + EXTRA, "(--index-url https://index.example)"),
        (f"MLflow_skinny==3.17.2 \\\n{PIN}\n", "contains mlflow-skinny, which the lock of the release"),
    ],
)
def test_another_file_is_refused(extra: str, told: str) -> None:
    assert told in problem(extra)


def test_a_lock_is_accepted() -> None:
    assert problem(f"# comment\n{EXTRA}") == ""


def test_the_directory_depends_on_both_locks_and_keeps_its_name_without_more_packages() -> None:
    digest = hashlib.sha256(LOCK.rstrip().encode()).hexdigest()[:12]
    alone = locked_release("3.17.2", LOCK)
    assert alone == {"name": f"3.17.2-{digest}", "locks": {"requirements": LOCK, "packages": ""}}
    both = locked_release("3.17.2", LOCK, EXTRA)
    other = locked_release("3.17.2", LOCK, EXTRA.replace("own_app==1.0", "own_app==1.1"))
    assert len({alone["name"], both["name"], other["name"]}) == 3
    assert both["locks"] == {"requirements": LOCK, "packages": merge(LOCK, EXTRA)}
    # The lookup of a file removes the last line end in some places.
    assert locked_release("3.17.2", LOCK.rstrip(), EXTRA.rstrip())["name"] == both["name"]
