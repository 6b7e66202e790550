"""An object in a list of a JSON file: fields in their several forms, errors that name them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from trace_mm.files.json_values import ImageId, as_flag, as_id, as_whole_number, describe

OnBad = Callable[[ValueError], None] | None
"""Is told of each record that cannot be used and is left out; None makes the first an error."""

_MAX_CATEGORY = 2**31 - 1


@dataclass(frozen=True, slots=True, eq=False)
class JsonRecord:
    """An object of one of a file's lists.

    Attributes:
        content: as the file has it; fields that are not read here are found in it.
        place: where it is, such as ``annotations[3]``, after the file's name.
    """

    content: Mapping[str, Any]
    file: str
    key: str
    position: int | None

    @property
    def where(self) -> str:
        """The file and the record, for messages."""
        place = self.key if self.position is None else f"{self.key}[{self.position}]"
        return f"{self.file}: {place}" if self.file else place

    def bad(self, cause: object) -> ValueError:
        """An error that names file and record."""
        return ValueError(f"{self.where}: {cause}")

    def whole_number(self, field: str, low: int = 0, high: int = 2**53) -> int:
        """A field that must hold a whole number of a range: 7, 7.0 or "7".

        Raises:
            ValueError: if it does not; names file, record and field, as all errors of records do.
        """
        number = as_whole_number(self.content.get(field))
        if number is None or not low <= number <= high:
            span = f"in {low} to {high}" if high < 2**53 else f"from {low}"
            raise self.bad(
                f"{field} must be a whole number {span}, got {describe(self.content.get(field))}"
            )
        return number

    def flag(self, field: str) -> bool:
        """A yes or no, such as ``iscrowd``; no if it is missing or null."""
        value = self.content.get(field)
        flag = False if value is None else as_flag(value)
        if flag is None:
            raise self.bad(f"{field} must be 0 or 1, got {describe(value)}")
        return flag

    def image_id(self, field: str) -> ImageId:
        """An image's id."""
        number = as_id(self.content.get(field))
        if number is None:
            value = describe(self.content.get(field))
            raise self.bad(f"{field} must be a whole number or text, got {value}")
        return number

    def category(self, field: str = "category_id") -> int:
        """A category's id."""
        number = as_whole_number(self.content.get(field))
        if number is None or abs(number) > _MAX_CATEGORY:
            value = describe(self.content.get(field))
            raise self.bad(f"{field} must be a whole number of 32 bits, got {value}")
        return number


AnyRecord = TypeVar("AnyRecord", bound=JsonRecord)


def records_of(
    values: Any, kind: type[AnyRecord], file: str, key: str, on_bad: OnBad = None
) -> Iterator[AnyRecord]:
    """The records of a list; of null, which some languages write for an empty list, none.

    Args:
        values: the list.
        kind: of the records.
        file: its name, for messages.
        key: what the list is called.
        on_bad: see ``OnBad``.

    Raises:
        ValueError: without ``on_bad``, if it is no list or something in it is no object.
    """
    if values is None:
        return
    if not isinstance(values, list):
        report(ValueError(f"{file}: {key!r} must be a list, got {describe(values)}"), on_bad)
        return
    for position, value in enumerate(values):
        if isinstance(value, Mapping):
            yield kind(value, file, key, position)
        else:
            error = kind({}, file, key, position).bad(f"must be an object, got {describe(value)}")
            report(error, on_bad)


def report(error: ValueError, on_bad: OnBad) -> None:
    """Tell of a bad record, or raise the error if nobody is to be told."""
    if on_bad is None:
        raise error
    on_bad(error)
