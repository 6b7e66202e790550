"""Links of a Markdown file to other files of the repository, as the site has them."""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_LINK = re.compile(r"(?<!\\)(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"(^ *```.*?^ *```)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class RepositoryLinks:
    """Makes links that hold in the repository hold in the site.

    Args:
        root: the repository.
        pages: pages of the site by the file that each is, for files outside ``docs``.
        address: where the code is hosted; empty if that is not known.
        branch: the branch there.
    """

    root: Path
    pages: Mapping[str, str]
    address: str
    branch: str

    def rewritten(self, text: str, source: str, page: str) -> tuple[str, list[str]]:
        """A file's text with the site's links, and the links that lead nowhere.

        Args:
            text: Markdown.
            source: the file's path in the repository.
            page: its path in the site.
        """
        missing: list[str] = []

        def replace(match: re.Match[str]) -> str:
            mark, label, link = match.groups()
            label = _LINK.sub(replace, label)  # a picture within a link
            if re.match(r"[a-z][a-z0-9+.-]*:|#", link):
                return f"{mark}[{label}]({link})"
            path, _, anchor = link.partition("#")
            found = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
            if not (self.root / found).exists():
                if not found.startswith("docs/"):  # those the site itself reports
                    missing.append(link)
                return f"{mark}[{label}]({link})"
            to = self._place(found, page)
            if to is None:
                return label if not mark else ""
            return f"{mark}[{label}]({to}{'#' if anchor else ''}{anchor})"

        parts = _FENCE.split(text)  # every second one is code
        parts[::2] = [_LINK.sub(replace, part) for part in parts[::2]]
        return "".join(parts), missing

    def _place(self, found: str, page: str) -> str | None:
        """Where a file of the repository is, seen from a page; None for nowhere."""
        to = self.pages.get(found) or self.pages.get(f"{found}/README.md")
        if to is None and found == "README.md":
            to = "index.md"
        if to is None and found.startswith("docs/"):
            to = found.removeprefix("docs/")
        if to is not None:
            return posixpath.relpath(to, posixpath.dirname(page) or ".")
        kind = "tree" if (self.root / found).is_dir() else "blob"
        return f"{self.address.rstrip('/')}/{kind}/{self.branch}/{found}" if self.address else None
