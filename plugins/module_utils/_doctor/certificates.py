# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Check the certificate of the server, and the certificate of the deployment's own CA."""

from __future__ import annotations

import math
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

from .endpoint import CONNECT_SECONDS, Endpoint
from .remedies import LOGS, SITE
from .results import CheckResult, NotCheckedError, fail, graded, ok, one_line

try:
    from cryptography import x509

    IMPORT_ERROR: str | None = None
except ImportError as error:  # reported by the module
    IMPORT_ERROR = str(error)

DAY = 86400.0
# Parts of the lifetime at which the check warns and fails for a certificate of an ACME directory, if they are shorter
# than the limits. The VM renews such a certificate when a third is left, within hours.
WARN, FAIL = 0.3, 0.1
STRICT = "clients with Python 3.13 refuse the certificate"


def certificate(endpoint: Endpoint, warn_days: float, fail_days: float) -> CheckResult:
    """Check that clients accept the certificate chain, and for how long.

    A certificate with a short lifetime warns later: the ACME client of the VM renews it in its last third. With an ACME
    directory, clients also trust the own CA, so a certificate of the own CA is a warning.
    """
    remedy = {
        "ca": f"renew the certificate: {SITE} -e certificates_renew_days={max(math.ceil(warn_days), 1)}",
        "files": f"set certificates_file to a newer certificate, then run {SITE}. If a private CA issued the"
        " certificate, the file in REQUESTS_CA_BUNDLE must contain that CA, on this control node and on every client",
        "acme": "the VM has no certificate of the ACME directory, or has not renewed it. Read the cause on the VM:"
        f" journalctl -u mlflow-acme -n 50. Then run {SITE}. docs/certificates.md lists the causes",
    }[endpoint.source]
    try:
        directory = Path(endpoint.trusted).is_dir()
        trusted = ssl.create_default_context(
            cafile=None if directory else endpoint.trusted, capath=endpoint.trusted if directory else None
        )
    except (OSError, ssl.SSLError) as error:
        download = f"download the CA certificate: {SITE}"
        cure = download if endpoint.ca_file else "set REQUESTS_CA_BUNDLE to an existing file"
        return fail("certificate", f"{endpoint.trusted} cannot be read: {error}", cure)
    strict = ""
    try:
        try:
            # Python 3.13 verifies strictly by default. The running Python may be older.
            trusted.verify_flags |= ssl.VERIFY_X509_STRICT
            found = _certificate(endpoint, trusted)
        except ssl.SSLCertVerificationError as error:
            strict = error.verify_message
            trusted.verify_flags &= ~ssl.VERIFY_X509_STRICT
            found = _certificate(endpoint, trusted)
    except ssl.SSLCertVerificationError as error:
        shown = _refused(endpoint)
        return fail("certificate", f"clients refuse the certificate: {error.verify_message}{shown}", remedy)
    except OSError as error:
        raise NotCheckedError(f"no TLS connection: {one_line(error)}", LOGS) from error
    days, left = _days(found, endpoint.now())
    own = False
    if endpoint.source == "acme":
        own = _own_ca_signed(found, endpoint.ca_file)
        lifetime = (_moment(found, "after") - _moment(found, "before")).total_seconds() / DAY
        warn_days, fail_days = min(warn_days, lifetime * WARN), min(fail_days, lifetime * FAIL)
    value = f"trusted, {left}" + (f"; {STRICT}: {strict}" if strict else "")
    value += "; signed by the deployment's own CA, not by the ACME directory" if own else ""
    return graded("certificate", value, (bool(strict) or own or days < warn_days, days < fail_days), remedy)


def _own_ca_signed(found: x509.Certificate, ca_file: str) -> bool:
    """Return whether the first CA of the file, the deployment's own, has signed the certificate."""
    return bool(ca_file) and found.issuer == x509.load_pem_x509_certificate(Path(ca_file).read_bytes()).subject


def _certificate(endpoint: Endpoint, context: ssl.SSLContext) -> x509.Certificate:
    with (
        socket.create_connection((endpoint.target, endpoint.port), timeout=CONNECT_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=endpoint.target) as tls,
    ):
        return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")


def _refused(endpoint: Endpoint) -> str:
    """Return the subject and the remaining days of a certificate that clients refuse."""
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE  # this connection sends no data
    try:
        found = _certificate(endpoint, unverified)
        return f" ({found.subject.rfc4514_string()}, {_days(found, endpoint.now())[1]})"
    except (OSError, ValueError):
        return ""


def _days(certificate: x509.Certificate, now: float) -> tuple[float, str]:
    end = _moment(certificate, "after")
    days = (end.timestamp() - now) / DAY
    return days, f"{math.floor(days)} days left (until {datetime.fromtimestamp(end.timestamp(), UTC):%Y-%m-%d})"


def _moment(certificate: x509.Certificate, which: str) -> datetime:
    """Return the begin ("before") or the end ("after") of a certificate."""
    # cryptography before version 42 has no not_valid_after_utc.
    found: datetime = getattr(certificate, f"not_valid_{which}_utc", None) or getattr(
        certificate, f"not_valid_{which}"
    ).replace(tzinfo=UTC)
    return found


def ca(path: str, now: float, warn_days: float, fail_days: float) -> CheckResult:
    """Check the deployment's own CA certificate, in the file that clients use. Without a path there is none."""
    if not path:
        return ok("ca", "the deployment has no CA of its own (another CA signs the certificate)")
    try:
        found = x509.load_pem_x509_certificate(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        return fail("ca", f"{path}: {one_line(error)}", f"download the CA certificate: {SITE}")
    days, left = _days(found, now)
    remedy = "create a new CA and give its certificate to all clients: docs/operations/certificate-authority.md"
    missing = _missing_extensions(found)
    value = left + (f"; {STRICT}: missing {', '.join(missing)}" if missing else "")
    return graded("ca", value, (bool(missing) or days < warn_days, days < fail_days), remedy)


def _missing_extensions(certificate: x509.Certificate) -> list[str]:
    """Return the missing extensions that ssl.VERIFY_X509_STRICT requires of a CA (RFC 5280, 4.2.1)."""
    found = {type(each.value): each for each in certificate.extensions}
    constraints, usage = found.get(x509.BasicConstraints), found.get(x509.KeyUsage)
    required = {
        "critical Basic Constraints": constraints is not None and constraints.critical,
        "Key Usage keyCertSign": usage is not None and usage.value.key_cert_sign,
        "Subject Key Identifier": x509.SubjectKeyIdentifier in found,
    }
    return [name for name, present in required.items() if not present]
