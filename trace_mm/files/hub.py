"""What a model hub answers, in words that a user can act on."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants
from huggingface_hub.errors import (
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
        return f"the hub's model lacks a file that is needed: {_first_line(missing)}"
    refused = next((one for one in found if isinstance(one, HfHubHTTPError)), None)
    return None if refused is None else f"the hub refused: {_first_line(refused)}"


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
