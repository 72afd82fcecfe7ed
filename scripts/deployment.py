"""Print facts of a deployment: URL, address, CA, password, a Python snippet, project, state directory, status.

DEPLOYMENT names the directory of the deployment in inventory/. ``project`` prints the project that its variables name.

Reads them from the cloud in the environment: Google, or the local cloud after `make env`. Endpoints and credentials are
those of the modules, so the program works on both.
"""

from __future__ import annotations

import argparse
import base64
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google.auth
import google.auth.exceptions
import google.oauth2.credentials
import requests
import yaml
from google.auth.transport.requests import AuthorizedSession
from requests.adapters import HTTPAdapter

REPOSITORY = Path(__file__).resolve().parent.parent
LOCAL_PROJECT = "mlflow-local"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TIMEOUT = 30.0
USER = "admin"
DEFAULT = "mlflow"  # the deployment of ansible.cfg
# The authentication mode in which programs send identity tokens.
SINGLE_SIGN_ON = "oauth2_proxy"

# As in gcloud's endpoint overrides: only the URL of Compute Engine contains the API's version.
ENDPOINTS = {
    "COMPUTE": "https://compute.googleapis.com/compute/v1/",
    "SECRETMANAGER": "https://secretmanager.googleapis.com/",
}


class DeploymentError(Exception):
    """The cloud or a resource of the deployment cannot be read. The text names the cause and the remedy."""


def endpoint(api: str) -> str:
    """Return the root URL of an API, with a slash at its end."""
    return os.environ.get(f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api}", ENDPOINTS[api]).rstrip("/") + "/"


def inventory() -> str:
    """Return the name of the deployment's directory in inventory/."""
    return os.environ.get("DEPLOYMENT") or DEFAULT


def setting(name: str) -> str | None:
    """Return a role variable of the deployment or of all deployments; None if it is unset or a template."""
    for folder in (REPOSITORY / "inventory" / inventory(), REPOSITORY):
        file = folder / "group_vars" / "all.yml"
        value = (yaml.safe_load(file.read_text()) or {}).get(name) if file.is_file() else None
        if value:
            return value if isinstance(value, str) and "{{" not in value else None
    return None


def state_root() -> Path:
    """Return the parent of all state directories (deployment_state_root)."""
    if chosen := os.environ.get("MLFLOW_GCP_STATE_DIRECTORY"):
        return Path(chosen)
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "mlflow-gcp"


@dataclass
class Deployment:
    """One deployment in one project."""

    project: str
    name: str

    def __post_init__(self) -> None:
        self._session: AuthorizedSession | None = None

    def get(self, url: str, **params: str) -> dict[str, Any]:
        """GET a JSON document with the credentials of the environment; raise DeploymentError on failure."""
        try:
            if self._session is None:
                self._session = AuthorizedSession(credentials(self.project))  # type: ignore[no-untyped-call]
            answer = self._session.get(url, params=params, timeout=TIMEOUT)
        except google.auth.exceptions.DefaultCredentialsError as error:
            remedy = "make up" if self.project == LOCAL_PROJECT else "gcloud auth application-default login"
            raise DeploymentError(f"there are no credentials: {error} Get them with: {remedy}") from error
        except (requests.ConnectionError, google.auth.exceptions.TransportError) as error:
            raise DeploymentError(
                f"{url} does not answer ({error}). If this is the local cloud, start it with: make up"
            ) from error
        except google.auth.exceptions.RefreshError as error:
            raise DeploymentError(
                f"the credentials are refused: {error}. Log in again: gcloud auth application-default login"
            ) from error
        if not answer.ok:
            raise DeploymentError(f"{url} answers {answer.status_code}: {answer.text.strip()[:300]}")
        document: dict[str, Any] = answer.json()
        return document

    @property
    def address(self) -> str:
        """Static external address. The search covers every region, so that no region has to be given."""
        url = f"{endpoint('COMPUTE')}projects/{self.project}/aggregated/addresses"
        wanted = f"{self.name}-address"
        page = self.get(url, filter=f'name = "{wanted}"')
        while True:
            for scope in page.get("items", {}).values():
                for item in scope.get("addresses", []):
                    if item["name"] == wanted and item.get("addressType", "EXTERNAL") == "EXTERNAL":
                        return str(item["address"])
            if not page.get("nextPageToken"):
                raise DeploymentError(
                    f"project {self.project} has no address {wanted}. Deploy with: ansible-playbook site.yml"
                )
            page = self.get(url, filter=f'name = "{wanted}"', pageToken=page["nextPageToken"])

    @property
    def url(self) -> str:
        """URL for clients: with the host name of the deployment if it has one, otherwise with the address."""
        return f"https://{setting('deployment_hostname') or self.address}"

    @property
    def password(self) -> str:
        """Administrator's password, from Secret Manager."""
        secret = f"projects/{self.project}/secrets/{self.name}-admin-password/versions/latest"
        payload = self.get(f"{endpoint('SECRETMANAGER')}v1/{secret}:access")["payload"]
        return base64.b64decode(payload["data"]).decode()

    @property
    def state(self) -> Path:
        """State directory of the deployment (deployment_state_directory)."""
        return state_root() / f"{self.project}-{self.name}"

    @property
    def ca_file(self) -> Path | None:
        """File with the CA certificates for clients; None with a certificate of your own."""
        candidate = self.state / "ca.pem"
        return candidate.resolve() if candidate.is_file() else None

    @property
    def make(self) -> list[str]:
        """Command line of make for this deployment, from any directory."""
        settings = [f"GOOGLE_CLOUD_PROJECT={self.project}"]
        settings += [f"DEPLOYMENT={inventory()}"] if inventory() != DEFAULT else []
        return ["make", "-s", "-C", str(REPOSITORY), *settings]


def credentials(project: str) -> Any:
    """Return the access token of the environment, or else application default credentials."""
    if token := os.environ.get("CLOUDSDK_AUTH_ACCESS_TOKEN"):
        return google.oauth2.credentials.Credentials(token=token)  # type: ignore[no-untyped-call]
    found, _ = google.auth.default(scopes=[SCOPE])
    # gcloud may have written another quota project into the user's file.
    if isinstance(found, google.oauth2.credentials.Credentials) and not os.environ.get("GOOGLE_CLOUD_QUOTA_PROJECT"):
        return found.with_quota_project(project)
    return found


def client_settings(deployment: Deployment) -> str:
    """Return Python code that sets server and credential. The code reads a password when it runs."""
    lines = [f'os.environ["MLFLOW_TRACKING_URI"] = "{deployment.url}"']
    name, local = setting("deployment_hostname"), deployment.project == LOCAL_PROJECT
    if name and local:
        lines.insert(0, f"# No name server knows the name. Add this line to /etc/hosts: {deployment.address} {name}")
    if ca_file := deployment.ca_file:
        lines.append(f'os.environ["MLFLOW_TRACKING_SERVER_CERT_PATH"] = "{ca_file}"')
    if setting("mlflow_authentication") == SINGLE_SIGN_ON:
        lines.append(
            "# The package mlflow-gcp-auth sends an identity token of a service account or a person: clients/python."
        )
        lines.append('os.environ["MLFLOW_TRACKING_AUTH"] = "google"')
        if local:
            key = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS", "")
            lines.append(f'os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = "{key}"')
    else:
        password = f"subprocess.check_output({[*deployment.make, 'password']!r}, text=True).strip()"
        lines.append(f'os.environ["MLFLOW_TRACKING_USERNAME"] = "{USER}"')
        lines.append(f'os.environ["MLFLOW_TRACKING_PASSWORD"] = {password}')
    return "\n".join(lines)


def snippet(deployment: Deployment) -> str:
    """Return Python code that logs a run with a model and loads it.

    With single sign-on each user has an experiment: users may only read the experiments of others.
    """
    imports, experiment = "import os\nimport subprocess", '"first-steps"'
    if setting("mlflow_authentication") == SINGLE_SIGN_ON:
        imports, experiment = "import getpass\nimport os", 'f"first-steps-{getpass.getuser()}"'
    return f"""\
{imports}

{client_settings(deployment)}

import mlflow
import mlflow.sklearn
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

mlflow.set_experiment({experiment})
features, labels = load_iris(return_X_y=True)
with mlflow.start_run() as run:
    parameters = {{"C": 0.5, "max_iter": 500}}
    model = LogisticRegression(**parameters).fit(features, labels)
    mlflow.log_params(parameters)
    mlflow.log_metric("accuracy", model.score(features, labels))
    logged = mlflow.sklearn.log_model(
        model, name="model", input_example=features[:2], pip_requirements=["scikit-learn"]
    )

loaded = mlflow.sklearn.load_model(logged.model_uri)
assert (loaded.predict(features) == model.predict(features)).all()
print(f"{{mlflow.get_tracking_uri()}}/#/experiments/{{run.info.experiment_id}}/runs/{{run.info.run_id}}")
"""


class ByAddress(HTTPAdapter):
    """Connects to an address, and verifies that the certificate is for the host name of the URL."""

    def __init__(self, name: str, address: str) -> None:
        self._name = name
        self._address = address
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Set the name for TLS."""
        super().init_poolmanager(*arguments, **options, server_hostname=self._name, assert_hostname=self._name)

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """Replace the name by the address."""
        request.headers["Host"] = self._name
        request.url = str(request.url).replace(f"https://{self._name}", f"https://{self._address}", 1)
        return super().send(request, *arguments, **options)


def clients_session(deployment: Deployment) -> requests.Session:
    """Return a session for the server. No name server knows the host name of a deployment on the local cloud."""
    session = requests.Session()
    name = setting("deployment_hostname")
    if name and deployment.project == LOCAL_PROJECT:
        session.mount(f"https://{name}", ByAddress(name, deployment.address))
    return session


def answers(deployment: Deployment) -> str:
    """Return one line: whether the server answers, and whether its API needs a password."""
    verify: str | bool = str(deployment.ca_file) if deployment.ca_file else True
    session = clients_session(deployment)
    try:
        health = session.get(f"{deployment.url}/health", verify=verify, timeout=10)
        search = f"{deployment.url}/api/2.0/mlflow/experiments/search"
        api = session.post(search, json={"max_results": 1}, verify=verify, timeout=10)
    except requests.RequestException as error:
        return f"does not answer: {error}"
    protected = (
        "the API requires a password"
        if api.status_code == requests.codes.unauthorized
        else f"THE API ANSWERS WITHOUT A PASSWORD: {api.status_code}"
    )
    return f"/health answers {health.status_code}, {protected}"


def summary(deployment: Deployment) -> str:
    """Return the text that `make up` prints at its end."""
    short = deployment.project == LOCAL_PROJECT and inventory() == DEFAULT and Path.cwd() == REPOSITORY
    make = " ".join(deployment.make[:2] if short else deployment.make)
    return f"""\
MLflow is up.

  URL        {deployment.url}
  CA         {deployment.ca_file or "of your certificate"}
  user       {USER}
  password   {make} password

Log a run (this is what `{make} snippet | .venv/bin/python -` runs):

{snippet(deployment)}"""


def main() -> int:
    """Print the requested fact."""
    parser = argparse.ArgumentParser(description=__doc__)
    facts = ["url", "address", "ca", "password", "snippet", "project", "state", "status", "summary"]
    parser.add_argument("what", choices=facts)
    arguments = parser.parse_args()
    if arguments.what == "project":
        print(setting("deployment_project") or "")
        return 0
    project = os.environ.get("GOOGLE_CLOUD_PROJECT") or os.environ.get("CLOUDSDK_CORE_PROJECT")
    if not project:
        print(
            "error: no project is set. Set GOOGLE_CLOUD_PROJECT, or use make, whose default is the local cloud.",
            file=sys.stderr,
        )
        return 1
    deployment = Deployment(project, setting("deployment_name") or DEFAULT)
    try:
        match arguments.what:
            case "url":
                print(deployment.url)
            case "address":
                print(deployment.address)
            case "ca":
                print(deployment.ca_file or "")
            case "password":
                print(deployment.password)
            case "snippet":
                print(snippet(deployment), end="")
            case "state":
                print(deployment.state)
            case "status":
                print(f"{deployment.name} in {deployment.project}: {deployment.url}: {answers(deployment)}")
            case "summary":
                print(summary(deployment), end="")
    except DeploymentError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
