# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Select an MLflow release from a package index (PEP 503 and 691).

Uses neither Ansible nor Google's APIs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

try:
    import requests
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename
    from packaging.version import InvalidVersion, Version
    from requests.adapters import HTTPAdapter
    from urllib3.util.retry import Retry
except ImportError as error:  # reported by the module
    IMPORT_ERROR: ImportError | None = error
else:
    IMPORT_ERROR = None

if TYPE_CHECKING:
    from requests import Response, Session

PACKAGE = "mlflow"
CHANNELS = ("pinned", "patch", "minor", "latest")
ROLLED_BACK = "rolled back"
ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
ATTEMPTS = 4  # with pauses of 1, 2 and 4 seconds, or the pause in Retry-After
RETRIED_CODES = frozenset({429, 500, 502, 503, 504})


class ReleaseError(Exception):
    """There is no suitable release. The message has the request, the response and the remedy."""


@dataclass(frozen=True)
class File:
    """A file of a project's page. ``yanked`` is None, or the reason for yanking the file (may be empty)."""

    name: str
    requires_python: str
    yanked: str | None


class Anchors(HTMLParser):
    """Parser for the links and the format version of a PEP 503 page."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[File] = []
        self.format = "1.0"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Read the attributes. The text of a link has no further information."""
        values = dict(attrs)
        if tag == "meta" and values.get("name") == "pypi:repository-version":
            self.format = values.get("content") or self.format
        if tag == "a" and values.get("href"):
            name = unquote(urlsplit(values["href"] or "").path.rsplit("/", 1)[-1])
            yanked = (values["data-yanked"] or "") if "data-yanked" in values else None
            self.files.append(File(name, values.get("data-requires-python") or "", yanked))


def without_password(url: str) -> str:
    """Return the URL without its password, for messages."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc="***@" + parts.netloc.rsplit("@", 1)[1]))


def new_session() -> Session:
    """Return a session that repeats requests while an index is unavailable."""
    session = requests.Session()
    retry = Retry(
        total=ATTEMPTS - 1,
        backoff_factor=1,
        status_forcelist=RETRIED_CODES,
        allowed_methods={"GET"},
        raise_on_status=False,
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


class Index:
    """A package index. Lists the versions of a project with the reasons why they cannot be installed."""

    def __init__(self, url: str, session: Session, *, python: str, timeout: float) -> None:
        self.url, self.session, self.python, self.timeout = url.rstrip("/"), session, python, timeout
        self.shown = without_password(self.url)

    def versions(self, package: str) -> dict[Version, str]:
        """Return version → "" if a wheel can be installed on ``python``, else the reason why not."""
        found: dict[Version, str] = {}
        for file in self._files(package):
            try:
                _name, version, _build, _tags = parse_wheel_filename(file.name)
            except (InvalidWheelFilename, InvalidVersion):
                continue  # the VM never builds source distributions
            if found.get(version) != "":
                found[version] = self._obstacle(file)
        return found

    def _obstacle(self, file: File) -> str:
        if file.yanked is not None:
            return f"yanked: {file.yanked}" if file.yanked else "yanked"
        try:
            fits = SpecifierSet(file.requires_python).contains(self.python)
        except InvalidSpecifier:
            fits = True  # installers also ignore an invalid specifier
        return "" if fits else f"needs Python {file.requires_python}"

    def _files(self, package: str) -> list[File]:
        address = f"{self.url}/{package}/"
        try:
            response = self.session.get(address, headers={"Accept": ACCEPT}, timeout=self.timeout)
        except requests.RequestException as error:
            cause = str(error).replace(self.url, self.shown)
            raise self._failed(package, f"no response ({type(error).__name__}: {cause})") from error
        if response.status_code == 404:
            raise self._failed(package, "HTTP 404, the package does not exist")
        if not response.ok:
            raise self._failed(package, f"HTTP {response.status_code}: {' '.join(response.text.split())[:200]}")
        return self._parse(package, response)

    def _parse(self, package: str, response: Response) -> list[File]:
        kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if kind == "application/vnd.pypi.simple.v1+json":
            try:
                page: dict[str, Any] = response.json()
                form, files = page["meta"]["api-version"], [_json_file(each) for each in page["files"]]
            except (ValueError, KeyError, TypeError) as error:
                raise self._failed(package, f"JSON that does not conform to PEP 691 ({error!r})") from error
        elif kind in {"text/html", "application/vnd.pypi.simple.v1+html"}:
            anchors = Anchors()
            anchors.feed(response.text)
            form, files = anchors.format, anchors.files
        else:
            raise self._failed(package, f"a page of type '{kind}', which is not a simple index")
        if str(form).split(".", maxsplit=1)[0] != "1":
            raise self._failed(package, f"a page of format {form}, only 1.x is supported")
        return files

    def _failed(self, package: str, cause: str) -> ReleaseError:
        return ReleaseError(
            f"Cannot read {package} from the package index {self.shown}: {cause}. Nothing was changed. Make the index"
            " reachable from this control node (proxy, certificates, credentials), or set upgrade_index_url."
        )


def _json_file(entry: Mapping[str, Any]) -> File:
    yanked = entry.get("yanked", False)
    reason = yanked if isinstance(yanked, str) else ""
    return File(entry["filename"], entry.get("requires-python") or "", reason if yanked is not False else None)


def newer(version: str, than: str) -> bool:
    """Return whether a version is newer than another one."""
    return Version(version) > Version(than)


def parts(version: Version) -> Sequence[str]:
    """Return the packages that have the same version as MLflow and are installed with it."""
    return ("mlflow-skinny", "mlflow-tracing") if version.major >= 3 else ("mlflow-skinny",)


@dataclass(frozen=True)
class Asked:
    """The requested channel and versions."""

    channel: str
    version: Version | None  # mlflow_version: the release for "pinned", otherwise the oldest acceptable release
    current: Version | None  # the deployed release
    minimum: Version | None  # the oldest release that may be selected
    exclude: frozenset[Version] = frozenset()  # releases that no channel selects

    @property
    def base(self) -> Version | None:
        """Return the version to which a channel is relative."""
        given = [each for each in (self.version, self.current) if each]
        return max(given, default=None)

    def follows(self, version: Version) -> bool:
        """Return whether the channel may select this release."""
        base = self.base
        if version.is_prerelease or version.is_devrelease or (self.minimum and version < self.minimum):
            return False
        if base is None:
            return self.channel == "latest"
        same = {"patch": 2, "minor": 1}.get(self.channel, 0)
        return version >= base and version.release[:same] == base.release[:same]


def obstacle(version: Version, own: str, part: Callable[[str], Mapping[Version, str]]) -> str:
    """Return why a release cannot be installed completely, or an empty string."""
    if own:
        return own
    for name in parts(version):
        why = part(name).get(version, "missing")
        if why:
            return f"{name} {version} is {why}" if why == "missing" else f"{name} {version}: {why}"
    return ""


def choose(asked: Asked, index: Index) -> tuple[Version, dict[str, str]]:
    """Return the selected release, and the skipped newer releases with their reasons."""
    pages: dict[str, dict[Version, str]] = {}

    def page(package: str) -> Mapping[Version, str]:
        if package not in pages:
            pages[package] = index.versions(package)
        return pages[package]

    if asked.channel == "pinned":
        return _pinned(asked, index, page), {}
    skipped: dict[str, str] = {}
    for version in sorted(filter(asked.follows, page(PACKAGE)), reverse=True):
        # The deployed release is acceptable even if the index no longer has it.
        if version == asked.current:
            why = ""
        elif version in asked.exclude:
            why = ROLLED_BACK
        else:
            why = obstacle(version, page(PACKAGE)[version], page)
        if not why:
            return version, skipped
        skipped[str(version)] = why
    # An excluded release could be installed, so its exclusion is not an error.
    if asked.current and (asked.current == asked.base or ROLLED_BACK in skipped.values()):
        return asked.current, skipped
    raise ReleaseError(
        f"The package index {index.shown} has no installable release of {PACKAGE} for the channel {asked.channel},"
        f" {asked.base or asked.minimum} or newer"
        + (f" (skipped: {listed(skipped)})" if skipped else "")
        + ". Choose another upgrade_channel or mlflow_version."
    )


def _pinned(asked: Asked, index: Index, page: Callable[[str], Mapping[Version, str]]) -> Version:
    version = asked.version
    if version is None:
        raise ReleaseError("The channel is pinned, but mlflow_version is empty. Set mlflow_version.")
    if version == asked.current:
        return version
    if asked.minimum and version < asked.minimum:
        raise ReleaseError(
            f"mlflow_version {version} is older than mlflow_minimum_version {asked.minimum}. Set a newer version."
        )
    if asked.current and version < asked.current:
        raise ReleaseError(
            f"Cannot replace MLflow {asked.current} by the older {version} (mlflow_version): MLflow cannot migrate its"
            f" database to an older schema. Set mlflow_version to {asked.current} or newer. To return to the release"
            " before the last upgrade, with the data of that time, run playbooks/rollback.yml."
        )
    why = obstacle(version, page(PACKAGE).get(version, "missing"), page)
    if why:
        raise ReleaseError(
            f"MLflow {version} (mlflow_version) cannot be installed from the package index {index.shown}: "
            f"{f'{PACKAGE} {version} is missing' if why == 'missing' else why}. Set another mlflow_version."
        )
    return version


def listed(skipped: Mapping[str, str]) -> str:
    """Return the skipped releases with their reasons as text."""
    return "; ".join(f"{version} ({why})" for version, why in skipped.items())
