# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Role variables of the role certificates with which no ACME directory issues a certificate."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from urllib.parse import urlsplit

from ._context import Context, Values

# A dependency of the control node. The import test of ansible-test runs without it.
with contextlib.suppress(ImportError):
    from cryptography import x509

PREFIX = "certificates_acme_"
LONGEST_NAME = 253
HOSTNAME = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?", re.I)
EMAIL = re.compile(r"[^\s@\"',:]+@[^\s@\"',:]+\.[^\s@\"',:]+")
NAME = re.compile(r"[A-Za-z0-9._-]+")
BASE64URL = re.compile(r"[A-Za-z0-9_-]+=*")


def _of(values: Values, name: str) -> str:
    return str(values[PREFIX + name] or "")


def _hostname(values: Values, context: Context) -> str:
    name = str(values["deployment_hostname"] or "")
    if not name:
        return (
            "certificates_source is acme, but deployment_hostname is empty. A certificate authority signs names. Set"
            " deployment_hostname, or set certificates_source to ca."
        )
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(name)
        return (
            f"certificates_source is acme, but deployment_hostname is '{name}', which is an address. Set"
            " deployment_hostname to a DNS name, or set certificates_source to ca."
        )
    if HOSTNAME.fullmatch(name):
        return ""
    return (
        f"certificates_source is acme, but deployment_hostname is '{name}', which is no DNS name with a domain. Set"
        " deployment_hostname to a name such as mlflow.example.com."
    )


def _files(values: Values, context: Context) -> str:
    given = [name for name in ("certificates_file", "certificates_key_file") if values[name]]
    if not given:
        return ""
    names = " and ".join(given)
    return f"certificates_source is acme, but {names} is set. Remove it, or set certificates_source to files."


def _terms(values: Values, context: Context) -> str:
    if values[f"{PREFIX}terms_agreed"]:
        return ""
    return (
        f"{PREFIX}terms_agreed is false. The directory '{_of(values, 'directory')}' names the terms of service of the"
        f" certificate authority. Read them, then set {PREFIX}terms_agreed to true."
    )


def _directory(values: Values, context: Context) -> str:
    directory = _of(values, "directory")
    parts = urlsplit(directory)
    # The directory is a line of the stored certificate.
    if parts.scheme == "https" and parts.hostname and "@" not in parts.netloc and not re.search(r"\s", directory):
        return ""
    return (
        f"{PREFIX}directory is '{directory}', which is no https URL. Give the URL of the ACME directory, such as"
        " https://acme-staging-v02.api.letsencrypt.org/directory."
    )


def _email(values: Values, context: Context) -> str:
    email = _of(values, "email")
    if not email or EMAIL.fullmatch(email):
        return ""
    return f"{PREFIX}email is '{email}', which is no e-mail address. Give one address without mailto:, or none."


def _profile(values: Values, context: Context) -> str:
    profile, family = _of(values, "profile"), str(values["infrastructure_image_family"])
    if not profile:
        return ""
    if not NAME.fullmatch(profile):
        return f"{PREFIX}profile is '{profile}', which is no name of a profile. Give a name such as shortlived."
    if family != "debian-12":
        return ""
    return (
        f"{PREFIX}profile is '{profile}', but the ACME library of Debian 12 knows no profiles"
        f" (infrastructure_image_family is '{family}'). Use debian-13, or remove {PREFIX}profile."
    )


def _binding(values: Values, context: Context) -> str:
    key_id, key = f"{PREFIX}eab_key_id", f"{PREFIX}eab_hmac_key"
    if bool(values[key_id]) != bool(values[key]):
        missing, given = (key, key_id) if values[key_id] else (key_id, key)
        return f"{given} is set, but {missing} is empty. The certificate authority gives both. Set both, or neither."
    # The message does not show the key.
    if values[key] and not BASE64URL.fullmatch(str(values[key])):
        return f"{key} is not in Base64url form. Copy the key again, as the certificate authority shows it."
    return ""


def _challenge(values: Values, context: Context) -> str:
    if _of(values, "challenge") != "dns-01":
        return ""
    if not values["dns_managed_zone"]:
        return (
            f"{PREFIX}challenge is dns-01, but dns_managed_zone is empty. Set dns_managed_zone to the managed zone of"
            f" Cloud DNS with the host name, or set {PREFIX}challenge to http-01."
        )
    name = f"_acme-challenge.{values['deployment_hostname']}"
    if len(name) <= LONGEST_NAME:
        return ""
    return (
        f"{PREFIX}challenge is dns-01, but the name of its record, {name}, has {len(name)} characters. A DNS name has"
        f" at most {LONGEST_NAME}. Set a shorter deployment_hostname, or set {PREFIX}challenge to http-01."
    )


def _ca_file(values: Values, context: Context) -> str:
    given = _of(values, "ca_file")
    if not given:
        return ""
    path = context.find(given)
    if path is None:
        return f"{PREFIX}ca_file is '{given}', which is no file on the control node. Give the path of a PEM file."
    with contextlib.suppress(ValueError):
        x509.load_pem_x509_certificates(path.read_bytes())
        return ""
    return f"{PREFIX}ca_file is '{given}', which contains no readable certificate. Give a file in PEM form."


def _credentials(values: Values, context: Context) -> str:
    if values["credentials_source"] == "secret_manager":
        return ""
    return (
        f"certificates_source is acme, but credentials_source is '{values['credentials_source']}'. The certificate is"
        " stored in Secret Manager. Set credentials_source to secret_manager, or give a certificate of your own."
    )


CHECKS = (
    _hostname,
    _files,
    _terms,
    _directory,
    _email,
    _profile,
    _binding,
    _challenge,
    _ca_file,
    _credentials,
)


def refusals(values: Values, context: Context) -> list[str]:
    """Return a message for each refused variable."""
    return [message for check in CHECKS if (message := check(values, context))]
