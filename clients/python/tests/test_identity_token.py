# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The claims of a token, and its remaining lifetime with a wrong local clock."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from mlflow_gcp_auth import AuthenticationError
from mlflow_gcp_auth.identity_token import IdentityToken

Issue = Callable[..., str]


def test_claims(issue: Issue) -> None:
    value = issue(email="a@example.com")
    token = IdentityToken.parse(value)
    assert (token.value, token.email) == (value, "a@example.com")
    assert token.lifetime == pytest.approx(3600, abs=5)
    assert value not in repr(token)


@pytest.mark.parametrize(
    ("local_clock", "lifetime"),
    [
        (0, 3600),
        # The metadata server returned a token that is 40 minutes old, or the clock is 40 minutes fast.
        (2400, 1200),
        # These clocks are wrong: the token would be expired, or issued in the future.
        (7200, 3600),
        (-7200, 3600),
    ],
)
def test_lifetime(issue: Issue, monkeypatch: pytest.MonkeyPatch, local_clock: int, lifetime: int) -> None:
    value, now = issue(), time.time()
    monkeypatch.setattr(time, "time", lambda: now + local_clock)
    assert IdentityToken.parse(value).lifetime == pytest.approx(lifetime, abs=5)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"email": None}, "without an e-mail address"),
        ({"email": ""}, "without an e-mail address"),
        ({"exp": None}, "without a valid time"),
        ({"iat": "now"}, "without a valid time"),
        ({"exp": 1}, "without a valid time"),
    ],
)
def test_missing_claims(issue: Issue, changes: dict[str, object], reason: str) -> None:
    value = issue(**changes)
    with pytest.raises(AuthenticationError, match=reason) as raised:
        IdentityToken.parse(value)
    assert value not in str(raised.value)


@pytest.mark.parametrize("value", ["", "None", "a.b.c", "a.W10.c", "a.é.c", "<html>captive portal</html>"])
def test_no_token(value: str) -> None:
    with pytest.raises(AuthenticationError, match="no readable identity token"):
        IdentityToken.parse(value)
