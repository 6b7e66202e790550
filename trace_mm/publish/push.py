"""An exported student on a model hub."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trace_mm.catalogue import CATALOGUE
from trace_mm.models.student_files import read_description
from trace_mm.models.student_folder import read_marker

CARD_FILE = "README.md"


@dataclass(frozen=True)
class Upload:
    """What is put on a hub.

    Attributes:
        folder: of the export.
        repository: hub id.
        files: bytes by path in the folder.
        license: of the card.
        remark: what else is to be known of the licence; may be empty.
    """

    folder: Path
    repository: str
    files: Mapping[str, int]
    license: str
    remark: str = ""

    def describe(self) -> list[str]:
        """Lines for the person who uploads it."""
        lines = [f"{size / 1e6:10,.2f} MB  {path}" for path, size in self.files.items()]
        total = sum(self.files.values()) / 1e6
        last = f"{len(self.files)} files, {total:,.2f} MB, licence {self.license}"
        return [*lines, f"{last}: {self.repository}", *([self.remark] if self.remark else [])]


def plan_upload(folder: str | os.PathLike[str], repository: str) -> Upload:
    """What an exported student's upload would put on a hub; nothing is asked of the hub.

    Args:
        folder: of :func:`trace_mm.publish.export_student`.
        repository: hub id, ``owner/name``.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if it is no export, the hub id is malformed, or the card's licence is not the
            one under which the folder's backbone may be passed on.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    source = Path(folder).expanduser()
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such folder")
    marker = read_marker(source)
    if not marker:
        raise ValueError(f"{source} is no export: write one with 'trace-mm export'")
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise ValueError(f"{repository}: {error}") from error
    if repository.count("/") != 1:
        raise ValueError(f"{repository}: a hub id is owner/name")
    license = _license_of(source / CARD_FILE)
    remark = _check_license(source, license, read_description(source), bool(marker.get("merged")))
    files = {
        path.relative_to(source).as_posix(): path.stat().st_size
        for path in sorted(source.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
    return Upload(source, repository, files, license, remark)


def push_student(upload: Upload, *, private: bool = False, message: str | None = None) -> str:
    """Put an exported student on the hub, in one commit; its repository is made if need be.

    Args:
        upload: of :func:`plan_upload`.
        private: make a new repository private.
        message: of the commit.

    Returns:
        The address of the commit.

    Raises:
        OSError: if the hub refuses it or cannot be reached; says why. Nothing is half there.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    hub = HfApi()
    try:
        hub.create_repo(upload.repository, private=private, exist_ok=True)
        done: Any = hub.upload_folder(
            repo_id=upload.repository,
            folder_path=upload.folder,
            allow_patterns=list(upload.files),
            commit_message=message or "A TRACE student: instance edges in one pass",
        )
    except HfHubHTTPError as error:
        raise OSError(f"{upload.repository}: {_refusal(error)}") from error
    except Exception as error:
        if not _is_of_network(error):
            raise
        raise OSError(f"{upload.repository}: the hub cannot be reached ({error})") from error
    return str(done.commit_url)


def _is_of_network(error: Exception) -> bool:
    """Whether the hub could not be reached; its client has had several libraries below it."""
    library = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError) or library in ("httpx", "httpx2", "requests")


def _refusal(error: Any) -> str:
    """Why the hub did not take it, and what helps."""
    status = getattr(error.response, "status_code", None)
    if status in (401, 403):
        return (
            "the hub does not let you write there: log in with 'hf auth login', by a token that "
            "may write, and check the owner's name"
        )
    return f"the hub refused (status {status}): {error.server_message or error}"


def _license_of(card: Path) -> str:
    from huggingface_hub import ModelCard  # slow to import

    try:
        license = ModelCard.load(card).data.license
    except (OSError, ValueError) as error:
        raise ValueError(f"{card}: the card cannot be read ({error}): export it again") from error
    if not license:
        raise ValueError(f"{card}: the card names no licence: export it again")
    return str(license)


def _check_license(folder: Path, license: str, description: Mapping[str, Any], merged: bool) -> str:
    """A remark on the backbone's licence; refuses a merged folder that does not name it."""
    place = description["merged"]["backbone"] if merged else description["backbone"]["name"]
    known = [entry for entry in CATALOGUE.values() if entry.pretrained == place]
    if not known:
        if merged and license == "other":
            raise ValueError(
                f"{folder} holds the weights of {place}, whose licence is not known here: export "
                "it again with --license, as the licence of these weights asks"
            )
        return ""
    (entry,) = known
    if merged and license == "apache-2.0" and entry.license != "Apache-2.0":
        raise ValueError(
            f"{folder} holds the weights of {place}, which are under {entry.license}, but its "
            f"card says {license}: export it again with another --license"
        )
    if entry.license == "Apache-2.0":
        return ""
    return f"{place} is under {entry.license}: what is made of it may be bound by its terms"
