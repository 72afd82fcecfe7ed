# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Secrets that hold an encryption key and the keys before it."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.filter.key_ring import FilterModule, key_ring
from cryptography.fernet import Fernet

TEXT = "0123456789abcdefghijABCDEFGHIJ0123456789"


def test_a_new_passphrase_is_the_text() -> None:
    assert key_ring(TEXT) == TEXT


def test_a_fernet_key_is_one_and_depends_on_the_text() -> None:
    key = key_ring(TEXT, fernet=True)
    cipher = Fernet(key)
    assert cipher.decrypt(cipher.encrypt(b"a")) == b"a"
    assert key == key_ring(TEXT, fernet=True)
    assert key != key_ring(TEXT[::-1], fernet=True)


def test_the_new_key_comes_before_the_earlier_ones() -> None:
    assert key_ring(TEXT, older="b\n a \n\n").split("\n") == [TEXT, "b", "a"]


def test_at_most_ten_keys_are_kept() -> None:
    older = "\n".join(str(number) for number in range(20))
    assert key_ring(TEXT, older=older).split("\n") == [TEXT, *map(str, range(9))]


def test_a_short_text_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="31 characters") as error:
        key_ring(TEXT[:31])
    assert TEXT[:31] not in str(error.value)


def test_the_filter_has_its_name() -> None:
    assert FilterModule().filters() == {"key_ring": key_ring}
