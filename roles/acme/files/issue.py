# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Order a certificate from a certificate authority that speaks ACME (RFC 8555).

The program uses the library of certbot. It needs only the Debian packages python3-acme and python3-cryptography.
"""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

import josepy
import requests
from acme import challenges, client, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

AGENT = "mlops.mlflow_gcp"
REQUEST_TIMEOUT = 45
CHALLENGES = {"http-01": challenges.HTTP01, "dns-01": challenges.DNS01}
# Types of problems (RFC 8555, 6.7), and the remedy of each.
REMEDIES = {
    "accountDoesNotExist": "The account is unknown: run site.yml",
    "badContact": "Correct certificates_acme_email",
    "caa": "Let the CAA record of the domain name this certificate authority",
    "connection": "Open port 80 to the certificate authority (infrastructure_client_source_ranges)",
    "dns": "Create the DNS record of the host name",
    "externalAccountRequired": "Set certificates_acme_eab_key_id and certificates_acme_eab_hmac_key",
    "invalidProfile": "Correct certificates_acme_profile",
    "rateLimited": "Wait. Use the staging directory of the certificate authority for tests",
    "rejectedIdentifier": "The certificate authority signs no certificate for this host name",
    "unreachable": "Let the VM connect to the directory. If the certificate of the directory itself is refused, add its"
    " CA to certificates_acme_ca_file",
    "unauthorized": "Let the DNS record of the host name point to this server",
}
_ZONE = "Let the NS records of the parent zone name the name servers of the managed zone"
# Other remedies with the challenge DNS-01.
DNS_REMEDIES = {"connection": _ZONE, "dns": _ZONE, "unauthorized": _ZONE}


class IssueError(Exception):
    """The certificate authority issued no certificate. `remedy` may be empty."""

    def __init__(self, cause: str, remedy: str = "") -> None:
        super().__init__(cause)
        self.remedy = remedy


@dataclass(frozen=True)
class Order:
    """What to order, and from whom."""

    hostname: str
    directory: str
    terms_agreed: bool
    email: str = ""
    profile: str = ""
    challenge: str = "http-01"
    ca_file: str = ""
    """CA certificates that the connection to the directory needs, or empty for the ones of the system."""
    timeout: float = 180.0
    """Seconds for the certificate authority, once it may look for the proof."""


@dataclass(frozen=True)
class Account:
    """The key of the account (PEM), and the key of the external account binding."""

    key: str
    eab_key_id: str = ""
    eab_hmac_key: str = ""


@dataclass(frozen=True)
class Proof:
    """The content that the certificate authority will look for: in a file named after the token, or in a TXT record."""

    token: str
    content: str


Publish = Callable[[Proof], AbstractContextManager[None]]


def issue(order: Order, account: Account, publish: Publish) -> str:
    """Return the key and the chain in PEM form. `publish` shows a proof until the end of its block."""
    try:
        return _issue(order, account, publish)
    except messages.Error as error:
        raise _failure(error, order) from error
    except errors.ValidationError as error:
        failed = [each.error for authorization in error.failed_authzrs for each in authorization.body.challenges]
        known = [each for each in failed if each is not None]
        raise _failure(known[0], order) if known else IssueError("the challenge failed") from error
    except errors.IssuanceError as error:
        raise _failure(error.error, order) from error
    except errors.TimeoutError as error:
        raise IssueError(f"no certificate after {order.timeout:.0f} seconds") from error
    except (requests.ConnectionError, requests.Timeout, ValueError) as error:
        # The library of Debian 12 raises ValueError while it handles the error of the connection.
        connection = (requests.ConnectionError, requests.Timeout)
        if isinstance(error, connection) or isinstance(error.__context__, connection):
            raise IssueError(f"unreachable: {error}", REMEDIES["unreachable"]) from error
        raise IssueError(f"{type(error).__name__}: {error}") from error
    except (requests.RequestException, errors.Error, josepy.errors.Error, KeyError) as error:
        raise IssueError(f"{type(error).__name__}: {error}") from error


def _code(error: messages.Error) -> str:
    return str(error.typ or "").rpartition(":")[2]


def _failure(error: messages.Error, order: Order) -> IssueError:
    code = _code(error)
    remedies = REMEDIES | (DNS_REMEDIES if order.challenge == "dns-01" else {})
    parts = [error, *(getattr(error, "subproblems", None) or [])]
    detail = "; ".join(str(each.detail or each.title or "") for each in parts)
    return IssueError(f"{code}: {' '.join(detail.split())}", remedies.get(code, ""))


def _issue(order: Order, account: Account, publish: Publish) -> str:
    acme, key = _connect(order, account)
    private, request = _request(order.hostname)
    placed = acme.new_order(request, **_profile(acme, order))
    with ExitStack() as published:
        for authorization in placed.authorizations:
            if authorization.body.status == messages.STATUS_VALID:
                continue
            body = _challenge(authorization, order)
            response, content = body.response_and_validation(key)
            published.enter_context(publish(Proof(body.chall.encode("token"), content)))
            acme.answer_challenge(body, response)
        # The library compares with local times.
        deadline = datetime.datetime.now() + datetime.timedelta(seconds=order.timeout)  # noqa: DTZ005
        done = acme.poll_and_finalize(placed, deadline)
    return private + str(done.fullchain_pem)


def _connect(order: Order, account: Account) -> tuple[client.ClientV2, josepy.JWK]:
    """Return a client of the existing account, or of a new one."""
    key = josepy.JWKRSA(key=josepy.ComparableRSAKey(load_pem_private_key(account.key.encode(), password=None)))
    network = client.ClientNetwork(
        key,
        verify_ssl=order.ca_file or True,
        user_agent=AGENT,
        timeout=REQUEST_TIMEOUT,  # type: ignore[arg-type]
    )
    directory = client.ClientV2.get_directory(order.directory, network)
    acme = client.ClientV2(directory, network)
    found = _existing(acme)
    if found is None:
        binding = None
        if account.eab_key_id:
            binding = messages.ExternalAccountBinding.from_data(
                key.public_key(), account.eab_key_id, account.eab_hmac_key, directory
            )
        found = acme.new_account(
            messages.NewRegistration.from_data(
                email=order.email or None, terms_of_service_agreed=order.terms_agreed, external_account_binding=binding
            )
        )
    network.account = found
    return acme, key


def _existing(acme: client.ClientV2) -> messages.RegistrationResource | None:
    """Return the account of the key. Keys of an external account binding may be valid only once: do not send them."""
    try:
        return acme.new_account(messages.NewRegistration(only_return_existing=True))
    except errors.ConflictError as error:
        # The library raises it for each existing account, with its address.
        return messages.RegistrationResource(uri=error.location, body=messages.Registration())
    except messages.Error as error:
        if _code(error) in ("accountDoesNotExist", "externalAccountRequired"):
            return None
        raise


def _profile(acme: client.ClientV2, order: Order) -> dict[str, Any]:
    if not order.profile:
        return {}
    if "profile" not in inspect.signature(acme.new_order).parameters:
        raise IssueError(
            "python3-acme of this Debian release knows no profiles",
            "Use Debian 13 (infrastructure_image_family), or remove certificates_acme_profile",
        )
    return {"profile": order.profile}


def _challenge(authorization: messages.AuthorizationResource, order: Order) -> messages.ChallengeBody:
    offered = authorization.body.challenges
    for body in offered:
        if isinstance(body.chall, CHALLENGES[order.challenge]):
            return body
    names = ", ".join(sorted(body.chall.typ for body in offered))
    raise IssueError(
        f"the certificate authority does not offer the challenge {order.challenge}, only {names}",
        "Change certificates_acme_challenge",
    )


def _request(hostname: str) -> tuple[str, bytes]:
    """Return a new key and its certificate signing request, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName(hostname.lower())])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=False)
    request = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(), request
