"""Classes that other packages add to a registry."""

import sys

import pytest
from mmengine.registry import Registry

from tests.plugin_packages import install
from trace_mm.plugins import Plugins

GROUP = "trace_mm.test_things"


class Thing:
    """What all derive from."""


class Ours(Thing):
    pass


@pytest.fixture
def registry():
    return Registry("thing", scope="trace_mm")


@pytest.fixture
def plugins(registry):
    return Plugins({"ours": Ours, "alias": Ours}, registry, GROUP, Thing, "thing")


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Installs modules with entry points, and forgets them afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    written = []

    def write(module, source, **places):
        (tmp_path / f"{module}.py").write_text(source)
        written.append(module)
        install(tmp_path, module.replace("_", "-"), {GROUP: places})

    yield write
    for module in written:
        sys.modules.pop(module, None)


SOUND = "from tests.test_plugins import Thing\nclass Their(Thing): pass\n"


def test_without_packages_there_are_ours(plugins, registry):
    assert plugins.names() == ["ours", "alias"]
    assert plugins.get("alias") is Ours and registry.get("ours") is Ours
    assert plugins.added(pytest.fail) == {}
    with pytest.raises(ValueError, match=r"there is no thing 'their', only ours, alias"):
        plugins.get("their")


def test_a_package_is_imported_when_its_class_is_asked_for(plugins, registry, packages):
    packages("sound_things", SOUND, their="sound_things:Their")
    assert plugins.names() == ["ours", "alias", "their"]
    assert "sound_things" not in sys.modules
    found = plugins.get("their")
    assert found is sys.modules["sound_things"].Their and registry.get("their") is found
    assert plugins.get("their") is found
    assert plugins.added(pytest.fail) == {"their": found}


def test_what_a_module_registers_is_there(plugins, registry):
    @registry.register_module()
    class Registered(Thing):
        pass

    assert plugins.names() == ["ours", "alias", "Registered"]
    assert plugins.get("Registered") is Registered
    assert plugins.added(pytest.fail) == {"Registered": Registered}


def test_a_class_is_added_once(plugins, registry, packages, monkeypatch):
    """Registered by one name as its module is imported, and declared by another."""
    monkeypatch.setattr(sys.modules[__name__], "REGISTRY", registry, raising=False)
    source = "from tests.test_plugins import REGISTRY, Thing\n@REGISTRY.register_module()\n"
    packages("twice_things", f"{source}class Their(Thing): pass\n", their="twice_things:Their")
    assert list(plugins.added(pytest.fail)) == ["their"]


@pytest.mark.parametrize(
    ("source", "place", "cause"),
    [
        ("import nowhere_at_all", "M:Their", "cannot be imported: ModuleNotFoundError: No module"),
        ("raise RuntimeError('a\\nb')", "M:Their", "cannot be imported: RuntimeError: a b"),
        ("def", "M:Their", "cannot be imported: SyntaxError"),
        (SOUND, "M:Other", "cannot be imported: AttributeError"),
        ("class Their: pass", "M:Their", "is no class that derives from Thing"),
        ("Their = 3", "M:Their", "is no class that derives from Thing"),
        (
            "import abc\nfrom tests.test_plugins import Thing\nclass Their(Thing, abc.ABC):\n"
            "    @abc.abstractmethod\n    def do(self): pass\n",
            "M:Their",
            "does not define do",
        ),
    ],
    ids=range(7),
)
def test_packages_that_cannot_be_used(plugins, packages, source, place, cause):
    place = place.replace("M", "broken_things")
    packages("broken_things", source, bad=place)
    assert plugins.names() == ["ours", "alias", "bad"]
    with pytest.raises(ValueError, match=f"thing 'bad' of package broken-things: .*{cause}") as got:
        plugins.get("bad")
    assert "\n" not in str(got.value)
    told = []
    assert plugins.added(told.append) == {}
    assert told == [str(got.value)]
    assert plugins.get("ours") is Ours


def test_names_are_not_taken_away(plugins, packages):
    for module in ("first_things", "second_things"):
        packages(module, SOUND, their=f"{module}:Their", ours=f"{module}:Their")
    assert plugins.names() == ["ours", "alias", "their"]
    assert plugins.get("ours") is Ours
    both = "of packages first-things and second-things: "
    with pytest.raises(ValueError, match=f"thing 'their' {both}only one"):
        plugins.get("their")
    told = []
    assert plugins.added(told.append) == {}
    assert [line.partition(both)[2] for line in told] == [
        "trace_mm's own has this name",
        "only one package can declare it",
    ]
