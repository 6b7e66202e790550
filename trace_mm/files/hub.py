"""What a model hub answers, in words that a user can act on."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants, scan_cache_dir
from huggingface_hub.errors import (
    CacheNotFound,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)


@contextmanager
def readable_hub_errors(source: str, revision: str | None = None) -> Iterator[None]:
    """Within this context, what goes wrong with a hub id is one clear error.

    Args:
        source: the hub id; for a local folder, errors stay as they are.
        revision: that was asked for.

    Raises:
        FileNotFoundError: names the id, the cause and what to do.
    """
    try:
        yield
    except Exception as error:
        advice = _advice(error, source, revision)
        if advice is None:
            raise
        raise FileNotFoundError(f"{source}: {advice}") from error


def _advice(error: BaseException | None, source: str, revision: str | None) -> str | None:
    """Cause and remedy, from the hub's own error, which libraries wrap in theirs."""
    seen: set[int] = set()
    found: list[BaseException] = []
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        found.append(error)
        error = error.__cause__ or error.__context__
    page = f"{constants.ENDPOINT}/{source}"

    def has(*kinds: type[BaseException]) -> bool:
        return any(isinstance(one, kinds) for one in found)

    if has(GatedRepoError):
        return (
            f"this model is gated: accept its terms at {page}, then log in with "
            "'hf auth login' or set HF_TOKEN"
        )
    if has(RevisionNotFoundError):
        return f"the hub's model has no revision {revision!r}: {page}/commits lists them"
    if has(RepositoryNotFoundError):
        return (
            "the hub has no such model, or it is private: check the name "
            "('trace-mm backbones' lists some), or log in with 'hf auth login'"
        )
    # Before EntryNotFoundError, of which it is a kind.
    if has(LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError):
        return (
            "not downloaded yet, and the hub cannot be reached: connect once, or give a local "
            "folder"
        )
    missing = next((one for one in found if isinstance(one, EntryNotFoundError)), None)
    if missing is not None:
        return f"the hub's model lacks a file that is needed: {_what_failed(missing)}"
    refused = next((one for one in found if isinstance(one, HfHubHTTPError)), None)
    return None if refused is None else f"the hub refused: {_what_failed(refused)}"


def _what_failed(error: BaseException) -> str:
    """The line that names the file, which is not the first one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "url:" in line]
    return (named or lines or [type(error).__name__])[0]


def downloaded_files() -> dict[str, set[str]]:
    """Files of the hub's models that are on this machine, whole, in any of their revisions.

    Returns:
        Paths within each model, with ``/``, by the model's hub id.
    """
    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        return {}
    return {
        found.repo_id: {
            file.file_path.relative_to(revision.snapshot_path).as_posix()
            for revision in found.revisions
            for file in revision.files
        }
        for found in repositories
        if found.repo_type == "model"
    }
