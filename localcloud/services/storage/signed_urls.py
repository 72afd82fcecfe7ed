# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Signed URLs of version 4 (https://cloud.google.com/storage/docs/authentication/canonical-requests)."""

from __future__ import annotations

import datetime
import hashlib
from urllib.parse import quote, unquote_to_bytes

from localcloud.access.auth import CLOUD_PLATFORM, Principal, signed_by
from localcloud.framework.service import Call
from localcloud.services.storage.xml_documents import XmlError

_ALGORITHM = "GOOG4-RSA-SHA256"
_PARAMETERS = ("algorithm", "credential", "date", "expires", "signature", "signedheaders")
_WEEK = 604800
# A client's clock may be ahead by this many seconds.
_SKEW = 900


def is_signed(call: Call) -> bool:
    """Return whether the query has a part of a signature."""
    given = {name.lower() for name in call.query}
    return any(f"x-goog-{name}" in given for name in _PARAMETERS)


def signer(call: Call) -> Principal:
    """Return the service account that signed the URL. Raises the refusal of a bad, altered or expired URL."""
    given = {name.lower().removeprefix("x-goog-"): value for name, value in call.query.items()}
    for name in _PARAMETERS:
        if not given.get(name):
            raise _malformed(f"x-goog-{name}", "The query parameter is missing.")
    if given["algorithm"] != _ALGORITHM:
        # At Google also an algorithm for HMAC keys, which the local cloud does not have.
        raise _malformed("x-goog-algorithm", f"The algorithm must be {_ALGORITHM}.")
    email, _, scope = given["credential"].partition("/")
    # Google ignores the location, but it is signed.
    date, _, rest = scope.partition("/")
    location, _, service = rest.partition("/")
    if not email or not location or service != "storage/goog4_request" or date != given["date"][:8]:
        raise _malformed("x-goog-credential", "The credential must be EMAIL/DATE/LOCATION/storage/goog4_request.")
    _check_time(call, given["date"], given["expires"])
    try:
        signature = bytes.fromhex(given["signature"])
    except ValueError as error:
        raise _malformed("x-goog-signature", "Signature was not hex encoded.") from error
    request = _canonical_request(call, given["signedheaders"])
    text = "\n".join((_ALGORITHM, given["date"], scope, hashlib.sha256(request.encode()).hexdigest()))
    account = call.cloud.accounts.get(email)
    if account is None or account.get("disabled"):
        raise XmlError(403, "InvalidSecurity", "The provided security credentials are not valid.")
    if not signed_by(call.cloud.auth.keys.public_keys(email), signature, text.encode()):
        details = (
            "The request signature we calculated does not match the signature you provided. Check your Google secret "
            "key and signing method."
        )
        fields = {"StringToSign": text, "CanonicalRequest": request}
        raise XmlError(403, "SignatureDoesNotMatch", "Access denied.", details, **fields)
    return Principal(email, frozenset({CLOUD_PLATFORM}))


def _check_time(call: Call, date: str, expires: str) -> None:
    try:
        begin = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    except ValueError as error:
        raise _malformed("x-goog-date", "The date must have the form YYYYMMDD'T'HHMMSS'Z'.") from error
    if not (expires.isascii() and expires.isdigit() and 1 <= int(expires) <= _WEEK):
        raise _malformed("x-goog-expires", f"The duration must be between 1 and {_WEEK} seconds.")
    end = begin + datetime.timedelta(seconds=int(expires))
    now = call.cloud.clock.time()
    if now > end.timestamp():
        details = f"The provided token has expired. Request signature expired at: {end.isoformat()}"
        raise XmlError(400, "ExpiredToken", "Invalid argument.", details)
    if begin.timestamp() > now + _SKEW:
        # The text is Amazon's. Google documents only the code.
        message = "The difference between the request time and the server's time is too large."
        raise XmlError(403, "RequestTimeTooSkewed", message)


def _canonical_request(call: Call, signed_headers: str) -> str:
    headers = call.request.headers
    names = sorted(set(signed_headers.lower().split(";")))
    if "host" not in names:
        raise _malformed("host", "Header was not included in signedheaders.")
    for name in names:
        if name not in headers:
            raise _malformed(name, "Header was included in signedheaders, but not in the request.")
    for name in headers:
        if name.startswith("x-goog-") and name not in names:
            raise _malformed(name, "Header was included in the request, but not in signedheaders.")
    values = [(name, ",".join(" ".join(unicode(v).split()) for v in headers.getlist(name))) for name in names]
    payload = headers["x-goog-content-sha256"] if "x-goog-content-sha256" in names else "UNSIGNED-PAYLOAD"
    return "\n".join(
        (
            call.request.method,
            _canonical_path(call),
            _canonical_query(call),
            "".join(f"{name}:{value}\n" for name, value in values),
            ";".join(names),
            payload,
        )
    )


def unicode(value: str) -> str:
    """Return the value of a header in UTF-8, which ASGI servers decode as Latin-1."""
    return value.encode("latin-1").decode(errors="replace")


def _canonical_path(call: Call) -> str:
    raw = call.request.scope["raw_path"].split(b"?")[0]
    return quote(unquote_to_bytes(raw), safe="/~")


def _canonical_query(call: Call) -> str:
    pairs = []
    for each in call.request.scope["query_string"].split(b"&"):
        name, _, value = (quote(unquote_to_bytes(part), safe="~") for part in each.partition(b"="))
        if name and name.lower() != "x-goog-signature":
            pairs.append((name, value))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _malformed(name: str, details: str) -> XmlError:
    details = f"Your request has a malformed header. {details}"
    return XmlError(400, "MalformedSecurityHeader", "Invalid argument.", details, ParameterName=name)
