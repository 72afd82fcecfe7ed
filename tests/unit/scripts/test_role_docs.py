# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""scripts/role_docs.py writes the tables of role variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import role_docs

SPECIFICATION = """
argument_specs:
  main:
    options:
      web_port:
        description: Port of O(web_name), see RV(acme.tls.proxy#role:main:proxy_port).
        type: int
        required: true
      web_hosts:
        description:
          - Hosts of the server.
          - Empty, all hosts.
        type: list
        elements: dict
        default: []
        options:
          name:
            description: Name of the host.
            type: str
            choices: [a, b]
            default: a | b
  remove:
    options:
      web_port: {description: Another text., type: int}
      web_force: {description: Whether to force it., type: bool, default: false}
"""
TABLE = """\
| `web_port` | int | required | Port of `web_name`, see `proxy_port`. |
| `web_hosts` | list of dict | empty | Hosts of the server. Empty, all hosts. |
| `web_hosts[].name` | str | `a \\| b` | Name of the host. Choices: `a`, `b`. |
| `web_force` | bool | `false` | Whether to force it. |
"""


@pytest.fixture
def role(tmp_path: Path) -> Path:
    """Return a role without a README."""
    folder = tmp_path / "roles" / "web"
    (folder / "meta").mkdir(parents=True)
    (folder / "meta" / "argument_specs.yml").write_text(SPECIFICATION)
    return folder


def test_the_table_has_every_option_of_every_entry_point_once(tmp_path: Path, role: Path) -> None:
    assert role_docs.main([], tmp_path) == 0
    text = (role / "README.md").read_text()
    assert text.startswith("# web\n")
    assert text.split("| --- | --- | --- | --- |\n")[1].split("\n\n")[0] + "\n" == TABLE


def test_text_around_the_table_stays(tmp_path: Path, role: Path) -> None:
    readme = role / "README.md"
    readme.write_text(f"# web\n\nBefore.\n\n{role_docs.BEGIN}\nold\n{role_docs.END}\n\nAfter.\n")
    role_docs.main([], tmp_path)
    assert readme.read_text().startswith("# web\n\nBefore.\n\n<!--")
    assert readme.read_text().endswith("-->\n\nAfter.\n")
    assert TABLE in readme.read_text()


def test_the_check_names_a_stale_readme_and_writes_nothing(
    tmp_path: Path, role: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (role / "README.md").write_text("# web\n")
    assert role_docs.main(["--check"], tmp_path) == 1
    assert "roles/web/README.md" in capsys.readouterr().err
    assert (role / "README.md").read_text() == "# web\n"
    role_docs.main([], tmp_path)
    assert role_docs.main(["--check"], tmp_path) == 0
