"""Values of JSON files as tools really write them: numbers, ids and flags in several forms.

Each function returns None where the value is not of its kind, so that the caller can say of which
record and field it is.
"""

import math
import reprlib
import unicodedata
from typing import Any

import numpy as np

ImageId = int | str
"""An image's id: a number in most files, text in Cityscapes."""

_FLAGS = {"0": False, "1": True, "false": False, "true": True}
_MAX_DIGITS = 15  # of numbers that are written as text; fewer than 2^53 has


def as_integer(value: Any) -> int | None:
    """A whole number: 1 or 1.0, but not true.

    Returns:
        The number, or None if it is none or beyond 2^53, up to which JSON's numbers are exact.
    """
    number = _python_number(value)
    if number is None or not -(2**53) <= number <= 2**53 or number != math.floor(number):
        return None  # nan fails the comparison
    return int(number)


def as_whole_number(value: Any) -> int | None:
    """A whole number, which may also be written as text: 7, 7.0 and "7" are the same."""
    return _digits(value) if isinstance(value, str) else as_integer(value)


def as_id(value: Any) -> ImageId | None:
    """An image's id: 7, 7.0 and "7" are the same; other text stays text, as in Cityscapes."""
    if not isinstance(value, str):
        return as_integer(value)
    number = _digits(value)
    return compose(value) or None if number is None else number


def as_flag(value: Any) -> bool | None:
    """A yes or no: true, 1, 1.0, "1" or "true", and their opposites."""
    if isinstance(value, str):
        return _FLAGS.get(value.strip().lower())
    if isinstance(value, bool):
        return value
    number = as_integer(value)
    return bool(number) if number in (0, 1) else None


def as_finite(value: Any) -> float | None:
    """A finite number, but not true and no text."""
    number = _python_number(value)
    try:
        finite = number is not None and math.isfinite(number)
    except OverflowError:  # a whole number beyond float64
        finite = False
    return float(number) if finite and number is not None else None


def compose(text: str) -> str:
    """Text with composed letters, so that two ways to write an umlaut are equal (Unicode NFC)."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def describe(value: Any) -> str:
    """A value of a file for a message: short, and printable whatever it holds."""
    return reprlib.repr(value)


def _python_number(value: Any) -> int | float | None:
    """A number, which may be one of numpy's, but not true."""
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _digits(text: str) -> int | None:
    """The number that text writes in the usual way; None of "007", whose zeros count."""
    digits = text[1:] if text.startswith("-") else text
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= _MAX_DIGITS):
        return None
    return int(text) if str(int(text)) == text else None
