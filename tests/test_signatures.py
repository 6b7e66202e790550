"""Signatures that are read from the source are those of the classes."""

import inspect
from importlib import import_module

import pytest

from trace_mm.lazy import export_homes
from trace_mm.registry import MODELS
from trace_mm.signatures import Named, read_signature

LOADERS = {
    "load_backbone": "trace_mm.diffusion.loading",
    "load_vision_backbone": "trace_mm.vision.loading",
}
MODEL_HOMES = {
    name: home
    for name, home in export_homes("trace_mm.models").items()
    if "__init__" in vars(MODELS.get(name) or object)  # else it is another class that says it
    and not home.endswith("decoders")  # a package, of no models by themselves
}


@pytest.mark.parametrize(("name", "home"), (MODEL_HOMES | LOADERS).items())
def test_the_source_says_what_the_class_says(name, home):
    actual = inspect.signature(getattr(import_module(home), name)).parameters
    read = read_signature(home, name).parameters
    assert [*read] == [*actual]
    for option, parameter in read.items():
        default = parameter.default
        found = default.value() if isinstance(default, Named) else default
        assert found == actual[option].default


def test_what_the_source_does_not_say_is_an_error():
    with pytest.raises(LookupError, match="does not define Sobel"):
        read_signature("trace_mm.models.gradient_detectors", "Sobel")
