"""What MkDocs calls while it builds the site: it adds pages of other folders and of code."""

import logging
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from mkdocs.config.defaults import MkDocsConfig  # noqa: E402
from mkdocs.structure.files import File, Files  # noqa: E402
from mkdocs.structure.pages import Page  # noqa: E402

from tools.site.reference_pages import commands_page, configs_page  # noqa: E402
from tools.site.repository_links import RepositoryLinks  # noqa: E402

LOG = logging.getLogger("mkdocs.hooks.trace_mm")

COPIED = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
COPIED |= {"security.md": "SECURITY.md"}
"""Pages of the site, by the file of the repository that each is."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the folders with a readme of their own into the navigation."""
    for place, folder in (("CONFIGS", "configs"), ("PROJECTS", "projects")):
        pages = [{readme.parent.name: _page_of(readme)} for readme in _readmes(folder)]
        config.nav = _replaced(config.nav, place, pages)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are no file in ``docs/``."""
    for page, source in _outside().items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    made = {"reference/commands.md": commands_page, "reference/configs.md": configs_page}
    for page, make in made.items():
        files.append(File.generated(config, page, content=make()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to files of the repository to their pages, or to the code's host."""
    outside = _outside()
    source = outside.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    links = RepositoryLinks(
        ROOT, {to: of for of, to in outside.items()}, config.repo_url or "", "main"
    )
    text, missing = links.rewritten(markdown, source, page.file.src_uri)
    for link in missing:
        LOG.warning("%s: no such file: %s", source, link)
    return text


def _outside() -> dict[str, str]:
    """Files of the repository by the page that they become."""
    readmes = [*_readmes("configs"), *_readmes("projects")]
    found = {_page_of(readme): readme.relative_to(ROOT).as_posix() for readme in readmes}
    return COPIED | found


def _readmes(folder: str) -> list[Path]:
    return sorted((ROOT / folder).glob("*/README.md"))


def _page_of(readme: Path) -> str:
    return re.sub(r"/README\.md$", ".md", readme.relative_to(ROOT).as_posix())


def _replaced(nav: Any, place: str, pages: list[dict[str, str]]) -> Any:
    """A navigation in which a placeholder is a list of pages."""
    if isinstance(nav, list):
        return [_replaced(entry, place, pages) for entry in nav]
    if isinstance(nav, dict):
        return {title: _replaced(entry, place, pages) for title, entry in nav.items()}
    return pages if nav == place else nav
