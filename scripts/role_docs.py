"""Write the tables of role variables in roles/*/README.md from meta/argument_specs.yml. --check only compares."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
BEGIN = "<!-- Begin: written from meta/argument_specs.yml by `make role-docs` -->"
END = "<!-- End: written from meta/argument_specs.yml by `make role-docs` -->"
# Longer defaults are expressions that make the table unreadable.
LONGEST_DEFAULT = 80
# Such as O(name), RV(name) or O(namespace.collection.role#role:main:name).
MARKUP = re.compile(r"\b(?:RV|[CEMOV])\((?:[^()#]*#\w+:\w+:)?([^()]*)\)")


def markdown(text: str) -> str:
    """Convert Ansible's markup for a cell of a Markdown table."""
    return MARKUP.sub(r"`\1`", " ".join(text.split())).replace("|", "\\|")


def default(option: dict[str, Any]) -> str:
    """Return the cell with the default of an option."""
    if option.get("required"):
        return "required"
    value = option.get("default", "")
    if value in ("", [], {}):
        return "empty"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    if len(text) > LONGEST_DEFAULT:
        return "see [defaults](defaults/main.yml)"
    return f"`{text}`".replace("|", "\\|")


def kind(option: dict[str, Any]) -> str:
    """Return the cell with the type of an option."""
    return f"list of {option['elements']}" if option.get("elements") else str(option["type"])


def rows(options: dict[str, dict[str, Any]], prefix: str = "") -> Iterator[str]:
    """Yield a table row for each option and each suboption."""
    for name, option in options.items():
        texts = option["description"]
        sentences = [texts] if isinstance(texts, str) else list(texts)
        if option.get("choices"):
            sentences.append("Choices: " + ", ".join(f"V({choice})" for choice in option["choices"]) + ".")
        yield f"| `{prefix}{name}` | {kind(option)} | {default(option)} | {markdown(' '.join(sentences))} |"
        yield from rows(option.get("options") or {}, f"{prefix}{name}[].")


def section(role: Path) -> str:
    """Return the generated section of a role. An option of several entry points appears once."""
    document = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    options: dict[str, dict[str, Any]] = {}
    for entry_point in document["argument_specs"].values():
        for name, option in (entry_point.get("options") or {}).items():
            options.setdefault(name, option)
    if not options:
        return f"{BEGIN}\n\nThis role has no variables.\n\n{END}\n"
    table = "\n".join(rows(options))
    head = "## Role variables\n\n| Variable | Type | Default | Description |\n| --- | --- | --- | --- |"
    return f"{BEGIN}\n\n{head}\n{table}\n\n{END}\n"


def readme(role: Path) -> str:
    """Return the README of a role with the current section, at its end if it had none."""
    path = role / "README.md"
    text = path.read_text(encoding="utf-8") if path.exists() else f"# {role.name}\n"
    before, marker, rest = text.partition(BEGIN)
    if not marker:
        return f"{text.rstrip()}\n\n{section(role)}"
    _generated, marker, after = rest.partition(END + "\n")
    if not marker:
        raise SystemExit(f"{path}: the line {END} is missing. Add it at the end of the generated section.")
    return before + section(role) + after


def main(arguments: list[str], repository: Path = REPOSITORY) -> int:
    """Write or compare the READMEs of all roles; return the exit status."""
    stale = []
    for specification in sorted(repository.glob("roles/*/meta/argument_specs.yml")):
        role = specification.parent.parent
        path, text = role / "README.md", readme(role)
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(str(path.relative_to(repository)))
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
    if stale and "--check" in arguments:
        print(f"error: not current: {', '.join(stale)}. Run: make role-docs", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
