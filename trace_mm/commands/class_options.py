"""Options of a command that are the arguments of a class, as its signature and docstring say.

Both are read from the source, since the classes need torch, and a command's help must not.
"""

import argparse
import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from inspect import cleandoc
from typing import Any

from trace_mm.signatures import read_arguments, read_definition, with_defaults

_NUMBERS: dict[str, tuple[Callable[[str], int | float], str, str]] = {
    "int": (int, "N", "an integer"),
    "float": (float, "X", "a number"),
}
"""What reads a number, its metavar and what it is in words, by the name of its type."""


@dataclass(frozen=True)
class ClassArgument:
    """An argument of a class.

    Attributes:
        name: as in the signature.
        types: names of the types that it takes, None left out: "bool", "int", "float".
        words: those of a ``Literal``.
        default: as the signature has it.
        description: of the docstring, as plain text.
    """

    name: str
    types: tuple[str, ...]
    words: tuple[str, ...]
    default: Any
    description: str

    def add_to(self, parser: Any) -> None:
        """Add the option; not given it is None, so that the class decides."""
        flag = f"--{self.name.replace('_', '-')}"
        text = self.description.replace("%", "%%")
        if self.default is not None:
            text += f" (default: {self.default})"
        if self.types == ("bool",) and not self.words:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, help=text)
        elif not self.types and self.words:
            parser.add_argument(flag, choices=self.words, help=text)
        elif len(self.types) == 1 and self.types[0] in _NUMBERS:
            metavar = "|".join([*self.words, _NUMBERS[self.types[0]][1]])
            parser.add_argument(flag, type=self._value, metavar=metavar, help=text)
        else:
            raise TypeError(f"{flag}: no option takes {self.types} and {self.words}")

    def _value(self, text: str) -> str | int | float:
        """A word as it is, or a number."""
        number, _, what = _NUMBERS[self.types[0]]
        if text in self.words:
            return text
        try:
            return number(text)
        except ValueError:
            accepted = " or ".join([*self.words, what])
            raise argparse.ArgumentTypeError(f"must be {accepted}, got {text!r}") from None


class ClassOptions:
    """The arguments of a class as options of a command.

    Args:
        module: where the class is defined, such as ``"trace_mm.panoptic.labels"``.
        name: of the class.
    """

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name

    @cached_property
    def arguments(self) -> tuple[ClassArgument, ...]:
        """The arguments of ``__init__``.

        Raises:
            LookupError: if the docstring does not describe one.
            TypeError: if one has a type that no option has.
        """
        body = read_definition(self.module, self.name)
        described = _descriptions(ast.get_docstring(body) or "")
        found = []
        for argument, default in with_defaults(read_arguments(body)):
            if argument.arg not in described:
                raise LookupError(f"{self.name}: the docstring does not describe {argument.arg}")
            types, words = _accepted(argument.annotation)
            value = None if default is None else ast.literal_eval(default)
            found.append(ClassArgument(argument.arg, types, words, value, described[argument.arg]))
        return tuple(found)

    def add_to(self, parser: Any) -> None:
        """Add an option for each argument to a parser or group."""
        for argument in self.arguments:
            argument.add_to(parser)

    def given(self, arguments: argparse.Namespace) -> dict[str, Any]:
        """The arguments for the class, of those options that were given."""
        values = {one.name: getattr(arguments, one.name) for one in self.arguments}
        return {name: value for name, value in values.items() if value is not None}


def _accepted(annotation: ast.expr | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the types in an annotation, None left out, and the words of its literals."""
    match annotation:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            (types, words), (others, more) = _accepted(left), _accepted(right)
            return types + others, words + more
        case ast.Subscript(value=ast.Name(id="Literal"), slice=content):
            value = ast.literal_eval(content)
            return (), value if isinstance(value, tuple) else (value,)
        case ast.Constant(value=None):
            return (), ()
        case ast.Name(id=name):
            return (name,), ()
    raise TypeError(f"no option is made of {annotation and ast.unparse(annotation)}")


def _descriptions(docstring: str) -> dict[str, str]:
    """The arguments of a Google-style docstring, each described in one line of plain text."""
    _, _, section = cleandoc(docstring).partition("\nArgs:\n")
    section = re.split(r"^\S", section, maxsplit=1, flags=re.M)[0]
    parts = re.split(r"^ {4}(\w+): ", section, flags=re.M)[1:]
    return {name: _plain(text) for name, text in zip(parts[::2], parts[1::2], strict=True)}


def _plain(text: str) -> str:
    """Text without markup of names, and without the full stop at its end."""
    text = re.sub(r":\w+:`~?(?:\w+\.)*(\w+)`", r"\1", " ".join(text.split()))
    return text.replace("``", "").removesuffix(".")
