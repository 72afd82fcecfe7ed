# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Variables with which no ACME directory issues a certificate are refused before the first change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trustme
from ansible_collections.mlops.mlflow_gcp.plugins.plugin_utils._validation import refusals

from tests.unit.plugin_utils._validation.context import CONTEXT, values

ACME = {
    "certificates_source": "acme",
    "certificates_acme_terms_agreed": True,
    "deployment_hostname": "mlflow.example.com",
    "infrastructure_image_family": "debian-13",
    "credentials_source": "secret_manager",
    "dns_managed_zone": "",
}
DNS = {"certificates_acme_challenge": "dns-01", "dns_managed_zone": "example-com"}
BINDING = {"certificates_acme_eab_key_id": "kid-1", "certificates_acme_eab_hmac_key": "c2VjcmV0LWtleQ"}


def refused(**changed: Any) -> list[str]:
    return refusals("certificates", values("certificates", **ACME | changed), CONTEXT)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        BINDING,
        {"certificates_acme_email": "ml-team@example.com", "certificates_acme_profile": "shortlived"},
        {"certificates_acme_directory": "https://127.0.0.1:14000/dir"},
        DNS,
        DNS | {"deployment_hostname": f"{'a.' * 113}example.com"},
    ],
)
def test_valid_values_are_accepted(changed: dict[str, Any]) -> None:
    assert refused(**changed) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"deployment_hostname": ""}, "deployment_hostname is empty. A certificate authority signs names. Set"),
        ({"deployment_hostname": "192.0.2.7"}, "deployment_hostname is '192.0.2.7', which is an address"),
        ({"deployment_hostname": "2001:db8::1"}, "deployment_hostname is '2001:db8::1', which is an address"),
        ({"deployment_hostname": "mlflow"}, "deployment_hostname is 'mlflow', which is no DNS name with a domain"),
        ({"deployment_hostname": "*.example.com"}, "deployment_hostname is '*.example.com', which is no DNS name"),
        ({"certificates_file": "/x.pem"}, "certificates_source is acme, but certificates_file is set. Remove it"),
        ({"certificates_acme_terms_agreed": False}, "certificates_acme_terms_agreed is false. The directory 'https:"),
        (
            {"certificates_acme_directory": "http://ca.example.com/dir"},
            "'http://ca.example.com/dir', which is no https",
        ),
        ({"certificates_acme_directory": "https://ca/dir\nProfile: x"}, "which is no https URL. Give the URL of the"),
        ({"certificates_acme_directory": "https://me:pass@ca/dir"}, "which is no https URL. Give the URL of the ACME"),
        (
            {"certificates_acme_email": "mailto:a@example.com"},
            "certificates_acme_email is 'mailto:a@example.com', which",
        ),
        ({"certificates_acme_profile": "a b"}, "certificates_acme_profile is 'a b', which is no name of a profile"),
        ({"certificates_acme_challenge": "tls-alpn-01"}, "certificates_acme_challenge must be one of: http-01, dns"),
        (
            DNS | {"dns_managed_zone": ""},
            "certificates_acme_challenge is dns-01, but dns_managed_zone is empty. Set dns",
        ),
        (
            DNS | {"deployment_hostname": f"{'a.' * 113}aexample.com"},
            "has 254 characters. A DNS name has at most 253. Set",
        ),
        ({"certificates_acme_ca_file": "/no.pem"}, "certificates_acme_ca_file is '/no.pem', which is no file on the"),
        ({"certificates_acme_ca_file": __file__}, "which contains no readable certificate. Give a file in PEM form"),
        ({"credentials_source": "credstore"}, "credentials_source is 'credstore'. The certificate is stored in Secret"),
        (
            {"certificates_source": "ca", "certificates_file": "/x.pem"},
            "certificates_source is ca, but certificates_file",
        ),
        ({"certificates_source": "files"}, "certificates_file is '' and certificates_key_file is ''. Give both"),
        (
            {"certificates_acme_profile": "shortlived", "infrastructure_image_family": "debian-12"},
            "the ACME library of Debian 12 knows no profiles (infrastructure_image_family is 'debian-12'). Use",
        ),
        (
            {"certificates_acme_eab_key_id": "kid"},
            "certificates_acme_eab_key_id is set, but certificates_acme_eab_hmac_",
        ),
    ],
)
def test_a_bad_value_is_refused(changed: dict[str, Any], message: str) -> None:
    (said,) = refused(**changed)
    assert message in said


@pytest.mark.parametrize(
    "changed",
    [{"certificates_acme_eab_key_id": ""}, {"certificates_acme_eab_hmac_key": "hidden key!"}],
)
def test_a_wrong_binding_is_refused_without_its_key(changed: dict[str, str]) -> None:
    given = BINDING | changed
    (said,) = refused(**given)
    assert "certificates_acme_eab_hmac_key" in said
    assert given["certificates_acme_eab_hmac_key"] not in said


def test_the_file_of_a_ca_is_accepted(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    assert refused(certificates_acme_ca_file=str(tmp_path / "ca.pem")) == []
