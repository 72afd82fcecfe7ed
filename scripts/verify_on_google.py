"""Verify the collection on a Google Cloud project, and write a report for an issue.

Sends only read requests. With VERIFY_CREATE=1 it also builds, checks and destroys a deployment, which costs money.
The report names no project, account or address, and holds no secret.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import google.auth
import google.auth.exceptions
import google.auth.transport.requests
import requests

Json = dict[str, Any]
REPOSITORY = Path(__file__).resolve().parent.parent
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
NAME = (
    "verify"  # The temporary deployment. The name differs from the default, so that no other deployment is destroyed.
)
SERVICES = (
    "cloudresourcemanager",
    "compute",
    "iam",
    "iamcredentials",
    "secretmanager",
    "servicenetworking",
    "serviceusage",
    "sqladmin",
    "storage",
)
CONSTRAINTS = (
    "compute.disableGuestAttributesAccess",
    "compute.requireOsLogin",
    "compute.restrictVpcPeering",
    "compute.trustedImageProjects",
    "compute.vmExternalIpAccess",
    "gcp.resourceLocations",
    "gcp.restrictServiceUsage",
    "iam.allowedPolicyMemberDomains",
    "iam.automaticIamGrantsForDefaultServiceAccounts",
    "iam.disableServiceAccountKeyCreation",
    "storage.softDeletePolicySeconds",
)
ROOTS = {  # As gcloud's overrides spell them.
    "CLOUDRESOURCEMANAGER": "https://cloudresourcemanager.googleapis.com/",
    "COMPUTE": "https://compute.googleapis.com/compute/v1/",
    "IAM": "https://iam.googleapis.com/",
    "SECRETMANAGER": "https://secretmanager.googleapis.com/",
    "SERVICENETWORKING": "https://servicenetworking.googleapis.com/",
    "SERVICEUSAGE": "https://serviceusage.googleapis.com/",
    "SQL": "https://sqladmin.googleapis.com/",
    "STORAGE": "https://storage.googleapis.com/storage/v1/",
}
TASK = re.compile(r"^(?P<task>\S.*?) -+ (?P<seconds>\d+\.\d+)s$", re.MULTILINE)
RECAP = re.compile(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


PROJECT, NUMBER, OTHER, SHARED = "PROJECT", "NUMBER", "OTHER-PROJECT", "GOOGLES-SHARED-PROJECT"
SHARED_NUMBER = "764086051850"  # What user credentials without a quota project belong to.


class VerifyError(Exception):
    """The checks cannot start. The message has the cause and the remedy."""


class Mask:
    """Masks secrets, and names of persons, projects and networks."""

    patterns = (
        (re.compile(r"-----BEGIN [^-]+-----.*?-----END [^-]+-----", re.DOTALL), "SECRET"),
        (re.compile(r"\bya29\.[\w.-]+|\beyJ[\w-]+\.[\w-]+\.[\w-]*|(?i:\bbearer\s+)\S+"), "SECRET"),
        (re.compile(r"(?i)\b(\w*(?:password|secret|token)\w*['\"]?\s*[:=]\s*)(?!\[)['\"]?[^\s'\",}]+"), r"\1SECRET"),
        (re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"), "EMAIL"),
        (
            re.compile(
                rf"\b(projects|organizations|folders|billingAccounts)/(?!(?:{PROJECT}|{NUMBER}|{OTHER}|{SHARED})\b)[\w:.-]+"
            ),
            r"\1/MASKED",
        ),
        (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"), "ADDRESS"),
        (re.compile(r"(?<![\w:.])(?=[\da-fA-F:]*::|(?:[\da-fA-F]+:){7})[\da-fA-F:]{3,}(?![\w:])"), "ADDRESS"),
        (re.compile(r"\b\d{9,}\b"), NUMBER),
    )

    def __init__(self, known: Iterable[tuple[str | None, str]] = ()) -> None:
        # The longest first: one project's ID may begin with another's.
        self.known = sorted(((value, word) for value, word in known if value), key=lambda pair: -len(pair[0]))

    def __call__(self, text: str) -> str:
        """Mask a text."""
        for pattern, word in self.patterns[:4]:  # An account's address holds the project's ID.
            text = pattern.sub(word, text)
        for value, word in self.known:
            text = text.replace(value, word)
        for pattern, word in self.patterns[4:]:
            text = pattern.sub(word, text)
        return text


@dataclass
class Report:
    """A Markdown document that is masked when it is written."""

    lines: list[str] = field(default_factory=list)

    def section(self, title: str, *paragraphs: str) -> None:
        """Start a section."""
        self.lines += [f"## {title}", "", *(line for paragraph in paragraphs for line in (paragraph, ""))]

    def table(self, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Add a table."""
        written = [head, ["---"] * len(head), *rows]
        self.lines += [*("| " + " | ".join(_cell(each) for each in row) + " |" for row in written), ""]

    def write(self, path: Path, mask: Callable[[str], str]) -> None:
        """Write it, masked."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(mask("\n".join(["# Verification on Google Cloud", "", *self.lines])))


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


@dataclass
class Answer:
    """An answer of a service: HTTP status and JSON document."""

    code: int
    document: Json

    @property
    def said(self) -> str:
        """The error in one line: reason, project that was charged, message."""
        error = self.document.get("error")
        if not isinstance(error, dict):
            return "" if self.code < 400 else "no JSON"
        details = [each for each in error.get("details") or () if isinstance(each, dict)]
        reasons = [each.get("reason") for each in [*details, *(error.get("errors") or ())]]
        consumers = [(each.get("metadata") or {}).get("consumer") for each in details]
        words = [next(filter(None, reasons), error.get("status")), *filter(None, consumers), error.get("message")]
        return ": ".join(str(word) for word in words if word)[:200]


class Project:
    """A Google Cloud project, asked with the credentials of the environment and any quota project."""

    def __init__(self, project: str) -> None:
        self.id = project
        try:
            found, _project = google.auth.default(scopes=[SCOPE])
            self.credentials = cast(Any, found)
            self.credentials.refresh(google.auth.transport.requests.Request())
        except google.auth.exceptions.GoogleAuthError as error:
            raise VerifyError(f"no usable credentials: {error}. Run: gcloud auth application-default login") from error
        self.quota_project: str | None = getattr(self.credentials, "quota_project_id", None)
        self.http = requests.Session()
        self.number = str(self.ask("CLOUDRESOURCEMANAGER", f"v1/projects/{project}").document.get("projectNumber", ""))

    def ask(
        self, api: str, path: str, body: Json | None = None, *, verb: str = "", quota: str | None = "TARGET"
    ) -> Answer:
        """Send one request; `quota` is the quota project: TARGET is this one, None is no header."""
        root = os.environ.get(f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api}", ROOTS[api]).rstrip("/") + "/"
        headers = {"Authorization": f"Bearer {self.credentials.token}"}
        if quota:
            headers["X-Goog-User-Project"] = self.id if quota == "TARGET" else quota
        method = verb or ("GET" if body is None else "POST")
        try:
            answer = self.http.request(method, root + path, json=body, headers=headers, timeout=60)
        except requests.RequestException as error:
            return Answer(0, {"error": {"message": str(error)}})
        try:
            document = answer.json()
        except ValueError:
            document = {}
        return Answer(answer.status_code, document if isinstance(document, dict) else {})


def probe(project: Project, report: Report) -> None:
    """Add the results of read requests."""
    kind = type(project.credentials)
    whose = {None: "none", project.id: "this project"}.get(project.quota_project, "another project")
    report.section("Credentials", f"`{kind.__module__}.{kind.__name__}`, quota project: {whose}.")
    quota_projects(project, report)
    apis(project, report)
    policies(project, report)
    network = project.ask("COMPUTE", f"projects/{project.id}/global/networks/default")
    rules = project.ask("COMPUTE", f"projects/{project.id}/global/firewalls").document.get("items", [])
    report.section(
        "Default network",
        f"`networks/default`: {network.code} {network.said}. The project has {len(rules)} firewall rules.",
    )


def quota_projects(project: Project, report: Report) -> None:
    """Add the answers of each API without a quota project, with this project, and with that of the credentials."""
    p, connections = project.id, "v1/services/servicenetworking.googleapis.com/connections"
    paths = (
        ("SERVICEUSAGE", f"v1/projects/{p}/services/compute.googleapis.com"),
        ("CLOUDRESOURCEMANAGER", f"v1/projects/{p}"),
        ("IAM", f"v1/projects/{p}/serviceAccounts"),
        ("SQL", f"v1/projects/{p}/instances"),
        ("SECRETMANAGER", f"v1/projects/{p}/secrets"),
        ("COMPUTE", f"projects/{p}/zones?maxResults=1"),
        ("STORAGE", f"b?project={p}&maxResults=1"),
        ("SERVICENETWORKING", f"{connections}?network=projects/{project.number}/global/networks/default"),
    )
    headers: dict[str, str | None] = {"none": None, "this project": "TARGET"}
    if project.quota_project not in {None, p}:
        headers["of the credentials"] = project.quota_project
    report.section("Quota project", "The header `X-Goog-User-Project` and the answer to one read.")
    rows = []
    for api, path in paths:
        for header, quota in headers.items():
            answer = project.ask(api, path, quota=quota)
            rows.append((api.lower(), header, answer.code, answer.said))
    report.table(("API", "Header", "Status", "Error"), rows)


def apis(project: Project, report: Report) -> None:
    """Add the state of the APIs that a deployment needs."""
    names = "&".join(f"names=projects/{project.id}/services/{name}.googleapis.com" for name in SERVICES)
    answer = project.ask("SERVICEUSAGE", f"v1/projects/{project.id}/services:batchGet?{names}")
    report.section("APIs", *([f"{answer.code} {answer.said}"] if answer.code >= 400 else []))
    found = {each["name"].rsplit("/", 1)[1]: each.get("state", "") for each in answer.document.get("services", [])}
    report.table(("API", "State"), [(name, found.get(f"{name}.googleapis.com", "unknown")) for name in SERVICES])


def policies(project: Project, report: Report) -> None:
    """Add the effective organisation policies."""
    report.section("Organisation policies in force")
    rows = []
    for name in CONSTRAINTS:
        body = {"constraint": f"constraints/{name}"}
        answer = project.ask("CLOUDRESOURCEMANAGER", f"v1/projects/{project.id}:getEffectiveOrgPolicy", body)
        value = answer.document.get("booleanPolicy", answer.document.get("listPolicy", {}))
        rows.append((name, f"{answer.code} {answer.said}" if answer.code >= 400 else json.dumps(value)))
    report.table(("Constraint", "Policy"), rows)


@dataclass
class Step:
    """One run of a playbook."""

    title: str
    arguments: tuple[str, ...]
    unchanged: bool = False
    """Whether nothing may change."""


def steps(project: str) -> list[Step]:
    """Return the runs: build twice, check, back up, destroy, and build and destroy under the same name."""
    confirm = ("-e", f"infrastructure_destroy_confirm={project}/{NAME}", "-e", "infrastructure_destroy_data=true")
    destroy = ("playbooks/destroy.yml", *confirm)
    return [
        Step("Build", ("site.yml",)),
        Step("Build again", ("site.yml",), unchanged=True),
        Step("Doctor", ("playbooks/doctor.yml",)),
        Step("Backup", ("playbooks/backup.yml",)),
        Step("Destroy", destroy),
        Step("Provision under the same name", ("playbooks/provision.yml",)),
        Step("Destroy the second one", destroy),
    ]


def refuse_existing(project: Project) -> None:
    """Raise VerifyError if a deployment of this name exists, because it would be destroyed."""
    for api, path in (
        ("SQL", f"v1/projects/{project.id}/instances/{NAME}-database"),
        ("COMPUTE", f"projects/{project.id}/global/networks/{NAME}-network"),
    ):
        if project.ask(api, path).code == requests.codes.ok:
            raise VerifyError(f"project {project.id} has a deployment called {NAME}. Destroy it first, or use another.")


def create(project: Project, report: Report, logs: Path) -> bool:
    """Run the playbooks, add their durations, and return whether all succeeded. Destroy after a failure."""
    refuse_existing(project)
    report.section("Playbooks", "Each run with its duration; below, the tasks that took longer than two seconds.")
    good, destroyed = True, False
    rows: list[tuple[object, ...]] = []
    tasks: list[tuple[object, ...]] = []
    for step in steps(project.id):
        is_last = step.title.startswith("Destroy")
        if not good and (not is_last or destroyed):
            continue
        print(f"{step.title}: ansible-playbook {' '.join(step.arguments)}", flush=True)
        begun = time.monotonic()
        code, output = playbook(step, logs)
        seconds = time.monotonic() - begun
        changed = sum(int(number) for _host, number, *_rest in RECAP.findall(output))
        well = code == 0 and not (step.unchanged and changed)
        destroyed = is_last and code == 0 and not good
        good = good and well
        rows.append((step.title, f"{seconds:.0f} s", changed, "ok" if well else f"FAILED ({code}): {failure(output)}"))
        tasks += [(step.title, each["task"], each["seconds"]) for each in TASK.finditer(output)]
    report.table(("Run", "Duration", "Changed", "Result"), rows)
    report.table(("Run", "Task", "Seconds"), [row for row in tasks if float(str(row[2])) >= 2])
    return good


def playbook(step: Step, logs: Path) -> tuple[int, str]:
    """Run a playbook and keep its log on this host. Return exit code and output."""
    environment = os.environ | {
        "ANSIBLE_CALLBACKS_ENABLED": "ansible.posix.profile_tasks",
        "ANSIBLE_NOCOLOR": "1",
        "PROFILE_TASKS_TASK_OUTPUT_LIMIT": "all",
    }
    done = subprocess.run(
        ["ansible-playbook", *step.arguments, "-e", f"deployment_name={NAME}"],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    logs.mkdir(parents=True, exist_ok=True)
    (logs / f"{step.title.lower().replace(' ', '-')}.log").write_text(done.stdout)
    return done.returncode, done.stdout


def failure(output: str) -> str:
    """Return the error message in the output of Ansible."""
    _before, _word, said = output.partition("[ERROR]: ")
    return said.split("\nOrigin:")[0][:600] if said else output[-600:]


def main() -> int:
    """Read, create a deployment if VERIFY_CREATE is 1, and write the report."""
    project_id = os.environ.get("GOOGLE_CLOUD_PROJECT", "")
    creates = os.environ.get("VERIFY_CREATE") == "1"
    try:
        if not project_id:
            raise VerifyError("no project. Run: make verify-on-google GOOGLE_CLOUD_PROJECT=my-project")
        if creates and not os.environ.get("MLFLOW_GCP_SSH_SOURCE_RANGES"):
            raise VerifyError("no address may use SSH. Set MLFLOW_GCP_SSH_SOURCE_RANGES, see docs/google-cloud.md")
        project = Project(project_id)
        mask = Mask(
            [
                (project.id, PROJECT),
                (project.number, NUMBER),
                (project.quota_project if project.quota_project != project.id else None, OTHER),
                (SHARED_NUMBER, SHARED),
                (str(REPOSITORY), "REPOSITORY"),
                (str(Path.home()), "HOME"),
            ]
        )
        report, begun = Report(), datetime.now(UTC)
        probe(project, report)
        folder = REPOSITORY / "artifacts"
        good = True
        path = folder / f"verify-on-google-{begun:%Y%m%d-%H%M%S}.md"
        try:
            good = create(project, report, folder / "verify-on-google") if creates else True
        finally:
            report.write(path, mask)
            print(f"Report: {path}. Read it before you attach it to an issue.")
    except VerifyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
