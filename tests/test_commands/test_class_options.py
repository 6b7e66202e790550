"""Options made of a class's arguments: they are those of the class, and reach it."""

import inspect
from argparse import ArgumentParser
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from trace_mm.commands.class_options import ClassOptions
from trace_mm.panoptic.labels import PanopticLabeler
from trace_mm.panoptic.presets import LABELER_PRESETS
from trace_mm.refinement import PRESETS, SCORES, BoundaryGuidedPropagation

SMOOTHER = '''
class Smoother:
    """Smooths edges.

    Args:
        rounds: how often, at most 100% of
            the ``steps`` of :class:`~trace_mm.refinement.Walk`.
        width: of the filter, in pixels; "auto" finds one.

            A second paragraph.
        kind: of filter.
        thin: whether lines are thinned after it. More than one sentence is fine.

    What else there is: nothing.

    Raises:
        ValueError: never.
    """

    def __init__(
        self,
        rounds: int = 3,
        *,
        width: Literal["auto"] | float | None = None,
        kind: Literal["box", "gauss"] = "box",
        thin: bool | None = None,
    ) -> None:
        pass
'''


@pytest.fixture
def options_of(tmp_path, monkeypatch):
    """Makes the options of a class with this source, in a package of its own."""

    def make(source):
        package = f"package_{tmp_path.name}"  # once imported it stays so
        (tmp_path / package / "filters").mkdir(parents=True)
        (tmp_path / package / "__init__.py").touch()
        (tmp_path / package / "filters" / "smoother.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path))
        return ClassOptions(f"{package}.filters.smoother", "Smoother")

    return make


def _parse(options, *words):
    parser = ArgumentParser()
    options.add_to(parser)
    return options.given(parser.parse_args(words))


@pytest.mark.parametrize("kind", [BoundaryGuidedPropagation, PanopticLabeler])
def test_options_are_the_arguments_of_the_class(kind):
    arguments = ClassOptions(kind.__module__, kind.__name__).arguments
    signature, hints = inspect.signature(kind).parameters, get_type_hints(kind.__init__)
    assert [(one.name, one.default) for one in arguments] == [
        (name, parameter.default) for name, parameter in signature.items()
    ]
    for one in arguments:
        hint = hints[one.name]
        parts = [hint] if get_origin(hint) is Literal else [*get_args(hint)] or [hint]
        words = [word for part in parts for word in get_args(part)]
        types = [part.__name__ for part in parts if isinstance(part, type)]
        assert list(one.words) == words
        assert list(one.types) == [name for name in types if name != "NoneType"]
        assert one.description and "`" not in one.description


def test_words_are_those_that_the_classes_know():
    refiner = ClassOptions(
        "trace_mm.refinement.boundary_guided_propagation", "BoundaryGuidedPropagation"
    )
    labeler = ClassOptions("trace_mm.panoptic.labels", "PanopticLabeler")
    words = {one.name: one.words for one in refiner.arguments}
    assert set(words["preset"]) == set(PRESETS) and words["scores"] == SCORES
    words = {one.name: one.words for one in labeler.arguments}
    assert set(words["preset"]) == set(LABELER_PRESETS)


def test_types_defaults_and_help(options_of):
    options = options_of(SMOOTHER)
    assert _parse(options) == {}
    words = ["--rounds", "5", "--width", "auto", "--kind", "gauss", "--no-thin"]
    assert _parse(options, *words) == {"rounds": 5, "width": "auto", "kind": "gauss", "thin": False}
    assert _parse(options, "--width=1.5", "--thin") == {"width": 1.5, "thin": True}
    parser = ArgumentParser()
    options.add_to(parser)
    text = " ".join(parser.format_help().split())
    for part in (
        "--rounds N how often, at most 100% of the steps of Walk (default: 3)",
        '--width auto|X of the filter, in pixels; "auto" finds one. A second paragraph --kind',
        "--kind {box,gauss} of filter (default: box)",
        "--thin, --no-thin whether lines are thinned after it. More than one sentence is fine",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rounds", "1.5"], "argument --rounds: must be an integer, got '1.5'"),
        (["--width", "wide"], "argument --width: must be auto or a number, got 'wide'"),
        (["--kind", "wide"], "argument --kind: invalid choice"),
    ],
)
def test_bad_values(options_of, capsys, words, message):
    with pytest.raises(SystemExit, match="2"):
        _parse(options_of(SMOOTHER), *words)
    assert message in capsys.readouterr().err


def test_what_cannot_be_an_option_is_a_fault(options_of):
    undescribed = SMOOTHER.replace("        kind: of filter.\n", "")
    with pytest.raises(LookupError, match="Smoother: the docstring does not describe kind"):
        options_of(undescribed).arguments  # noqa: B018


@pytest.mark.parametrize("hint", ["list[int]", "str", "int | float", "bool | int"])
def test_types_without_an_option_are_a_fault(options_of, hint):
    with pytest.raises(TypeError, match=r"no option (is made of|takes)"):
        _parse(options_of(SMOOTHER.replace("rounds: int", f"rounds: {hint}")))
