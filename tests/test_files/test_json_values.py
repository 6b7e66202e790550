"""Numbers, ids and flags in the forms in which tools write them."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mm.files.json_values import (
    as_finite,
    as_flag,
    as_id,
    as_integer,
    as_whole_number,
    compose,
)

NO_NUMBERS = [None, True, False, [], {}, float("nan"), float("inf"), 1.5, 10**400, 1e300, "", "x"]


def test_whole_numbers():
    values = (3, 3.0, -2, np.int64(3), np.float32(3))
    assert [as_integer(value) for value in values] == [3, 3, -2, 3, 3]
    assert all(as_integer(value) is None for value in [*NO_NUMBERS, "3", np.bool_(True)])


def test_whole_numbers_as_text():
    assert [as_whole_number(value) for value in ("7", "-7", "0", 7.0)] == [7, -7, 0, 7]
    others = ["007", "7.0", " 7", "+7", "1_0", "-", "--7", "٧", "9" * 20]
    assert all(as_whole_number(value) is None for value in [*NO_NUMBERS, *others])


@given(st.integers(-(10**14), 10**14))
def test_the_same_id_in_three_forms(number):
    assert as_id(number) == as_id(float(number)) == as_id(str(number)) == number


def test_text_ids_stay_text():
    for name in ("aachen_000000_000019", "007", "1.0", "x"):
        assert as_id(name) == name
    assert all(as_id(value) is None for value in NO_NUMBERS if value != "x")


def test_flags():
    assert all(as_flag(value) is True for value in (True, 1, 1.0, "1", "true", "True", np.int8(1)))
    assert all(as_flag(value) is False for value in (False, 0, 0.0, "0", "false", "FALSE"))
    assert all(as_flag(value) is None for value in (None, 2, -1, 0.5, "yes", "", [], float("nan")))


def test_finite_numbers():
    assert [as_finite(value) for value in (1, 0.5, np.float32(0.5))] == [1.0, 0.5, 0.5]
    others = (None, True, "0.5", float("nan"), float("-inf"), 10**400, [1])
    assert all(as_finite(value) is None for value in others)


@pytest.mark.parametrize("text", ["a.png", "Käse.png", "한국", "\ud800"])
def test_letters_are_composed(text):
    forms = {unicodedata.normalize(form, text) for form in ("NFC", "NFD")}
    assert {compose(form) for form in forms} == {unicodedata.normalize("NFC", text)}
