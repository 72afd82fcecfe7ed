# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The configuration of OAuth2-Proxy: a file of options, and a structured file for provider, headers and listener.

Only the structured configuration can put the claims `hd` and `email_verified` into the response to nginx.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

# The audience of the ID tokens of gcloud's own OAuth client, the same for every service.
GCLOUD_AUDIENCE = "32555940559.apps.googleusercontent.com"
COOKIE = "__Host-mlflow"
GOOGLE = "https://accounts.google.com"
# The socket that systemd passes.
LISTENER = "fd:3"
# For each response header of /oauth2/auth, the claim with its value.
HEADERS = {
    "X-Auth-Request-Email": "email",
    "X-Auth-Request-Groups": "groups",
    "X-Auth-Request-Hosted-Domain": "hd",
    "X-Auth-Request-Email-Verified": "email_verified",
}
ADDRESSES_FILE = "/etc/oauth2-proxy/addresses"
CLIENT_SECRET_FILE = "${CREDENTIALS_DIRECTORY}/oauth2-proxy.oauth2-proxy-client-secret"  # noqa: S105
Settings = Mapping[str, Any]


def redirect_uri(hostname: str) -> str:
    """Return the URI to which the provider sends browsers back."""
    return f"{origin(hostname)}/oauth2/callback"


def origin(hostname: str) -> str:
    """Return the origin of the server."""
    return f"https://{hostname}"


def console_steps(hostname: str) -> str:
    """Return the steps of a person at the provider that give a client ID and a client secret."""
    return (
        "Create an OAuth client of the type web application at the provider (for Google: Google Cloud console, Google"
        f" Auth Platform, Clients). Enter the authorized JavaScript origin {origin(hostname)} and the authorized"
        f" redirect URI {redirect_uri(hostname)}. Then set authentication_oauth2_proxy_client_id and"
        " authentication_oauth2_proxy_client_secret, and run site.yml again. The secret is stored in Secret Manager:"
        " later runs do not need this variable."
    )


def malformed_secret(value: str) -> str:
    """Return the problem of a client secret, or an empty string. OAuth2-Proxy sends the secret unchanged."""
    if value != value.strip():
        return "begins or ends with white space, such as a newline"
    if not value.isprintable():
        return "contains a character that cannot be printed"
    return ""


def secret_problem(given: str, *, secret: str, hostname: str, stored: str | None = None, error: str = "") -> str:
    """Return a message if there is no usable client secret, or an empty string. No message contains the value."""
    if given or (stored and not malformed_secret(stored)):
        return ""
    if not stored:
        return (
            f"authentication_oauth2_proxy_client_secret is not set, and the secret {secret}"
            f" {f'cannot be read ({error})' if error else 'has no value'}. {console_steps(hostname)}"
        )
    return (
        f"The value of the secret {secret} {malformed_secret(stored)}. The provider would refuse every sign-in. Set"
        " authentication_oauth2_proxy_client_secret, or add a version without it:"
        f" printf %s VALUE | gcloud secrets versions add {secret} --data-file=-"
    )


def audiences(settings: Settings) -> list[str]:
    """Return the accepted audiences of ID tokens besides the client ID. Clients use the origin by default."""
    more = [GCLOUD_AUDIENCE] if settings["accept_gcloud_audience"] else []
    return list(dict.fromkeys([origin(settings["hostname"]), *settings["extra_audiences"], *more]))


def domains(settings: Settings) -> list[str]:
    """Return the domains of accepted addresses, also those of service accounts of a whole project."""
    of_projects = [entry.removeprefix("@") for entry in settings["service_accounts"] if entry.startswith("@")]
    return list(dict.fromkeys([*settings["domains"], *of_projects]))


def addresses(settings: Settings) -> list[str]:
    """Return the addresses that are accepted besides the domains."""
    single = [entry for entry in settings["service_accounts"] if not entry.startswith("@")]
    return list(dict.fromkeys([*settings["admins"], *single]))


def prompt(settings: Settings) -> str:
    """Return the parameter `prompt` of a sign-in. Some providers refuse values that they do not know."""
    return str(settings["prompt"] or ("select_account" if settings["issuer"] == GOOGLE else ""))


def options(settings: Settings) -> dict[str, Any]:
    """Return the options that are not part of the structured configuration."""
    return {
        "redirect_url": redirect_uri(settings["hostname"]),
        # nginx sets or empties the headers of a proxy. It connects by the Unix socket, which is always trusted.
        "reverse_proxy": True,
        "trusted_proxy_ips": ["127.0.0.1/32"],
        "email_domains": domains(settings),
        "authenticated_emails_file": ADDRESSES_FILE,
        "skip_jwt_bearer_tokens": True,
        "cookie_name": COOKIE,
        "cookie_path": "/",
        "cookie_secure": True,
        "cookie_httponly": True,
        # A strict cookie would be missing when the provider sends the browser back.
        "cookie_samesite": "lax",
        "cookie_expire": f"{settings['session_hours']}h",
        # Without the tokens, which would make the cookie larger than a browser accepts.
        "session_cookie_minimal": True,
        # The provider asks for the account, so a page with a button is not needed.
        "skip_provider_button": True,
        # nginx and MLflow log the requests.
        "request_logging": False,
        "footer": "-",
    }


def structure(settings: Settings) -> dict[str, Any]:
    """Return the structured configuration."""
    provider = settings["provider"]
    asked = prompt(settings)
    return {
        "server": {"bindAddress": LISTENER},
        # Only nginx and its subrequests use OAuth2-Proxy, so it forwards nothing.
        "upstreamConfig": {"upstreams": [{"id": "none", "path": "/", "static": True, "staticCode": 404}]},
        "injectResponseHeaders": [
            {"name": name, "values": [{"claimSource": {"claim": claim}}]} for name, claim in HEADERS.items()
        ],
        "providers": [
            {
                "id": "mlflow",
                # Also for Google: the provider `google` does not verify ID tokens.
                "provider": "oidc",
                "clientID": settings["client_id"],
                "clientSecretFile": CLIENT_SECRET_FILE,
                "scope": " ".join(settings["scopes"]),
                "code_challenge_method": "S256",
                "loginURL": provider["authorization_endpoint"],
                "redeemURL": provider["token_endpoint"],
                "loginURLParameters": [{"name": "prompt", "default": [asked]}] if asked else [],
                "skipClaimsFromProfileURL": True,
                "additionalClaims": ["hd", "email_verified"],
                "oidcConfig": {
                    "issuerURL": settings["issuer"],
                    # So that OAuth2-Proxy starts, and accepts cookies, while the provider is away.
                    "skipDiscovery": True,
                    "jwksURL": provider["jwks_uri"],
                    "enabledSigningAlgs": list(provider["algorithms"]),
                    "emailClaim": "email",
                    "groupsClaim": settings["groups_claim"],
                    "audienceClaims": ["aud"],
                    "extraAudiences": audiences(settings),
                    "insecureAllowUnverifiedEmail": False,
                    "insecureSkipIssuerVerification": False,
                    "insecureSkipNonce": False,
                },
            }
        ],
    }


def toml(values: Mapping[str, bool | str | Sequence[str]]) -> str:
    """Return a TOML file. A string or list of strings in JSON is also TOML."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def files(settings: Settings) -> dict[str, str]:
    """Return the content of each file in /etc/oauth2-proxy."""
    return {
        "oauth2-proxy.cfg": toml(options(settings)),
        # JSON is also YAML.
        "oauth2-proxy.yaml": json.dumps(structure(settings), indent=2) + "\n",
        "addresses": "".join(f"{address}\n" for address in addresses(settings)),
    }
