# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""scripts/browser.sh selects the browser of the end-to-end tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]

BASH = shutil.which("bash") or "/bin/bash"


@pytest.fixture
def browser(tmp_path: Path) -> Path:
    """Return a copy of the script in an empty repository."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "bin").mkdir()
    return Path(shutil.copy(REPOSITORY / "scripts/browser.sh", tmp_path / "scripts"))


def run(browser: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script without other programs and without a home directory."""
    path = str(browser.parents[1] / "bin")
    return subprocess.run([BASH, browser, *arguments], env={"PATH": path}, capture_output=True, text=True, check=False)


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def playwrights(browser: Path, folder: str = "chromium-1200/chrome-linux64") -> Path:
    return program(browser.parents[1] / ".cache/ms-playwright" / folder / "chrome")


def test_the_browser_of_the_system_is_preferred(browser: Path) -> None:
    playwrights(browser)
    chromium = program(browser.parents[1] / "bin/chromium")
    assert run(browser).stdout == f"{chromium}\n"


@pytest.mark.parametrize("folder", ["chromium-1200/chrome-linux64", "chromium-1100/chrome-linux"])
def test_the_browser_of_playwright_is_the_second_choice(browser: Path, folder: str) -> None:
    chromium = playwrights(browser, folder)
    assert run(browser).stdout == f"{chromium}\n"


def test_a_browser_in_a_snap_is_not_used(browser: Path) -> None:
    snap = program(browser.parents[1] / "bin/snap")
    (snap.parent / "chromium").symlink_to(snap)
    assert run(browser).returncode == 1
    chromium = playwrights(browser)
    assert run(browser).stdout == f"{chromium}\n"


def test_without_a_browser_the_error_names_the_remedy(browser: Path) -> None:
    done = run(browser)
    assert (done.returncode, done.stdout) == (1, "")
    assert str(browser.parents[1] / "bin") in done.stderr
    assert str(browser.parents[1] / ".cache/ms-playwright") in done.stderr
    assert "scripts/install.sh test" in done.stderr


def test_playwright_installs_into_the_repository(browser: Path) -> None:
    """By default Playwright installs into the home directory of the user, where root does not search."""
    script = '#!/bin/sh\nshift; echo "$@"\nset -- "$PLAYWRIGHT_BROWSERS_PATH"/chromium-1/chrome-linux64\n'
    script += '/bin/mkdir -p "$1" && : >"$1/chrome"\n'
    program(browser.parents[1] / ".venv/bin/playwright", script)
    assert run(browser, "install").stdout == "--with-deps chromium\n"
    assert run(browser).stdout.startswith(str(browser.parents[1]))
