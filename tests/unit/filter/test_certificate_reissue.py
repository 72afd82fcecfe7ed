# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""When the own CA issues the server certificate."""

from __future__ import annotations

import pytest
import trustme
from ansible_collections.mlops.mlflow_gcp.plugins.filter.certificate_reissue import certificate_reissue

NAME = "mlflow.example.com"
OWN, OTHER = trustme.CA(), trustme.CA()


def reason(*names: str, source: str, issuer: trustme.CA = OTHER) -> str:
    stored = issuer.issue_cert(*names).cert_chain_pems[0].bytes().decode()
    authority = OWN.cert_pem.bytes().decode()
    return certificate_reissue(stored, authority=authority, endpoint="MLflow.example.com", source=source, renew_days=1)


@pytest.mark.parametrize("names", [[NAME], ["*.example.com"], [f"www.{NAME}", NAME]])
def test_a_certificate_that_covers_the_name_stays_until_the_acme_directory_has_signed(names: list[str]) -> None:
    """A certificate of the own CA in its place would end the connections of all clients that do not know the CA."""
    assert reason(*names, source="acme") == ""
    assert reason(*names, source="ca") != ""


@pytest.mark.parametrize("names", [["example.com"], [f"*.{NAME}"], ["*.com"], ["www.example.com"]])
def test_a_certificate_for_another_name_is_replaced(names: list[str]) -> None:
    assert reason(*names, source="acme") == f"the certificate is for {', '.join(names)}"


def test_the_own_ca_signs_only_the_host_name() -> None:
    assert reason(NAME, source="ca", issuer=OWN) == ""
    assert reason(NAME, f"www.{NAME}", source="ca", issuer=OWN) != ""
