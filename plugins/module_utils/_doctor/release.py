# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check the age of the deployed release, and its packages for known vulnerabilities."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .remedies import UPGRADE
from .results import CheckResult, NotCheckedError, fail, ok, one_line, warn

with suppress(ImportError):  # reported by the module
    import requests

if TYPE_CHECKING:
    from requests import Session

Json = dict[str, Any]
BATCH = 500  # OSV accepts 1,000 queries in a request
DETAILED = 60  # maximum number of advisories whose severity is requested
SERIOUS = ("HIGH", "CRITICAL")
SECONDS = (10.0, 30.0)


def numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, for comparison."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def release(version: str, minimum: str) -> CheckResult:
    """Check the release against the oldest release that may be exposed."""
    if not numbers(version):
        raise NotCheckedError(f"the version of the release is unknown ({version or 'empty'})", UPGRADE)
    if numbers(version) < numbers(minimum):
        return fail("release", f"MLflow {version} is older than {minimum} (mlflow_minimum_version)", UPGRADE)
    return ok("release", f"MLflow {version}" + (f", {minimum} or newer" if minimum else ""))


def advisories(
    session: Session, url: str, packages: Mapping[str, str], accepted: Sequence[str], remedy: str = UPGRADE
) -> CheckResult:
    """Check the release's packages with an OSV service (https://google.github.io/osv.dev/api/)."""
    try:
        found = _query(session, url, packages)
        details = {key: _detail(session, url, key) for key in sorted(found)[:DETAILED]}
    except requests.exceptions.RequestException as error:
        raise NotCheckedError(
            f"{url} does not answer ({type(error).__name__})",
            "run the doctor where the service is reachable, set doctor_advisories_url to a mirror, or to '' to skip",
            "warn",
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{url} sent an unexpected response: {type(error).__name__}: {one_line(error, 120)}"
        raise NotCheckedError(reason, "set doctor_advisories_url to the URL of an OSV service", "warn") from error
    open_ones = {
        key: names
        for key, names in found.items()
        if not details.get(key, {}).get("withdrawn")
        and not {key, *details.get(key, {}).get("aliases", [])}.intersection(accepted)
    }
    if not open_ones:
        known = f", {len(found)} accepted or withdrawn" if found else ""
        return ok("advisories", f"{len(packages)} packages, no known vulnerability{known}")
    serious = [key for key in open_ones if details.get(key, {}).get("severity") in SERIOUS]
    shown = sorted(open_ones, key=lambda key: (key not in serious, key))[:8]
    listed = ", ".join(_summary(key, open_ones[key], details.get(key, {})) for key in shown)
    more = f", and {len(open_ones) - len(shown)} more" if len(open_ones) > len(shown) else ""
    value = f"{len(open_ones)} in {len(packages)} packages ({len(serious)} high or critical): {listed}{more}"
    remedy = f"{remedy}; add advisories that do not affect you to doctor_advisories_accepted"
    return fail("advisories", value, remedy) if serious else warn("advisories", value, remedy)


def _summary(key: str, names: Sequence[str], detail: Json) -> str:
    cve = next((alias for alias in detail.get("aliases", []) if alias.startswith("CVE-")), key)
    severity = f", {str(detail['severity']).lower()}" if detail.get("severity") else ""
    return f"{cve} ({', '.join(names)}{severity})"


def _query(session: Session, url: str, packages: Mapping[str, str]) -> dict[str, list[str]]:
    """Return advisory → affected packages of the release."""
    found: dict[str, list[str]] = {}
    queue: list[tuple[str, str]] = [(name, "") for name in sorted(packages)]
    while queue:
        batch, queue = queue[:BATCH], queue[BATCH:]
        queries = [
            {"package": {"ecosystem": "PyPI", "name": name}, "version": packages[name]}
            | ({"page_token": token} if token else {})
            for name, token in batch
        ]
        answer = session.post(f"{url.rstrip('/')}/v1/querybatch", json={"queries": queries}, timeout=SECONDS)
        answer.raise_for_status()
        results = answer.json()["results"]
        if len(results) != len(batch):
            raise ValueError(f"{len(results)} results for {len(batch)} queries")
        for (name, _version), result in zip(batch, results, strict=True):
            for advisory in result.get("vulns") or ():
                names = found.setdefault(advisory["id"], [])
                names += [name] if name not in names else []
            if result.get("next_page_token"):
                queue.append((name, result["next_page_token"]))
    return found


def _detail(session: Session, url: str, key: str) -> Json:
    answer = session.get(f"{url.rstrip('/')}/v1/vulns/{quote(key)}", timeout=SECONDS)
    answer.raise_for_status()
    document = answer.json()
    severity = str((document.get("database_specific") or {}).get("severity") or "").upper()
    return {
        "aliases": list(document.get("aliases") or []),
        "withdrawn": bool(document.get("withdrawn")),
        "severity": severity,
    }
