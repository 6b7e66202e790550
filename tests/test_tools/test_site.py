"""The documentation site: what is made of code, and links between files of the repository."""

from pathlib import Path

import pytest
import yaml

from tools.site.reference_pages import commands_page, configs_page
from tools.site.repository_links import RepositoryLinks
from trace_mm import cli
from trace_mm.files.shipped_configs import config_names

ROOT = Path(__file__).parents[2]


@pytest.fixture
def repository(tmp_path):
    for name in ("README.md", "CONTRIBUTING.md", "docs/runs.md", "docs/more/deep.md", "code/a.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "configs/uis").mkdir(parents=True)
    (tmp_path / "configs/uis/README.md").touch()
    return tmp_path


def links(repository, address=""):
    pages = {"CONTRIBUTING.md": "contributing.md", "configs/uis/README.md": "configs/uis.md"}
    return RepositoryLinks(repository, pages, address, "main")


@pytest.mark.parametrize(
    ("source", "page", "text", "expected"),
    [
        ("docs/runs.md", "runs.md", "[a](../configs/uis/README.md#b)", "[a](configs/uis.md#b)"),
        ("docs/runs.md", "runs.md", "[a](../configs/uis)", "[a](configs/uis.md)"),
        ("docs/runs.md", "runs.md", "[a](../README.md)", "[a](index.md)"),
        ("docs/runs.md", "runs.md", "[a](more/deep.md)", "[a](more/deep.md)"),
        ("docs/more/deep.md", "more/deep.md", "[a](../runs.md#c)", "[a](../runs.md#c)"),
        ("configs/uis/README.md", "configs/uis.md", "[a](../../docs/runs.md)", "[a](../runs.md)"),
        ("README.md", "index.md", "[`a`](CONTRIBUTING.md)", "[`a`](contributing.md)"),
        ("README.md", "index.md", "[a](#b) [c](https://d.e)", "[a](#b) [c](https://d.e)"),
        ("README.md", "index.md", "```\n[a](code/a.py)\n```", "```\n[a](code/a.py)\n```"),
        ("docs/runs.md", "runs.md", "[a](../code/a.py)", "a"),  # nobody knows where the code is
    ],
)
def test_links_hold_in_the_site(repository, source, page, text, expected):
    assert links(repository).rewritten(text, source, page) == (expected, [])


def test_code_is_linked_where_it_is_hosted(repository):
    hosted = links(repository, "https://host/me/repo/")
    text, _ = hosted.rewritten("[a](../code/a.py#L3) [b](../code)", "docs/runs.md", "runs.md")
    assert text == (
        "[a](https://host/me/repo/blob/main/code/a.py#L3) [b](https://host/me/repo/tree/main/code)"
    )


def test_links_to_nothing_are_told(repository):
    text = "[a](../code/b.py) [c](gone.md)"
    found, missing = links(repository).rewritten(text, "docs/runs.md", "runs.md")
    assert found == text
    assert missing == ["../code/b.py"]  # of pages MkDocs itself tells


def test_every_command_has_its_help_in_the_reference():
    page = commands_page()
    for subcommand in cli.SUBCOMMANDS:
        name = subcommand.__name__.rpartition(".")[2]
        assert f"## trace-mm {name} " in page
        assert f"usage: trace-mm {name}" in page
    assert "--min-score" in page


def test_every_config_is_in_the_reference():
    page = configs_page()
    assert all(f"- `{name.partition('/')[2]}`" in page for name in config_names())


def test_every_page_is_in_the_navigation():
    class Loader(yaml.SafeLoader):
        """Reads MkDocs' own tag for variables of the environment."""

    Loader.add_constructor("!ENV", lambda loader, node: loader.construct_sequence(node))
    site = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert pages <= set(_pages(site["nav"]))


def _pages(nav):
    if isinstance(nav, str):
        return [nav]
    entries = nav.values() if isinstance(nav, dict) else nav
    return [page for entry in entries for page in _pages(entry)]
