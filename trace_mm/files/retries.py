"""Requests to stores, tried again where that may help, and their errors in one line."""

import errno
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from trace_mm.console import note
from trace_mm.files.file_systems import NoStoreError, file_system

WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds, at most, before each further try."""

Result = TypeVar("Result")

_STATUS = {408, 425, 429, 500, 502, 503, 504}  # of HTTP: too slow, too many, or the server's fault
_ERRNO = {getattr(errno, name, -1) for name in ("EAGAIN", "EBUSY", "EREMOTEIO", "ENETUNREACH")}
# Errors of packages that need not be installed, so they are known by the names of their classes.
_CLASSES = {
    "ClientConnectionError",  # aiohttp
    "ClientPayloadError",
    "HTTPClientError",  # botocore: time-outs, closed connections
    "IncompleteReadError",
    "ResponseParserError",  # half an answer
}
_said: set[str] = set()


class ShortAnswerError(OSError):
    """A store gave or took fewer bytes than there are."""


def persistently(address: str, aim: str, request: Callable[[Any, str], Result]) -> Result:
    """Do a request; where the store or the network failed, again after a while, a few times.

    Args:
        address: of the file or folder.
        aim: what could not be done, for messages: "read", "written", "listed".
        request: does it from the start, given the file system and its name of the file.

    Raises:
        NoStoreError: if there is no file system for the address.
        FileNotFoundError: if there is no such file.
        OSError: if it fails in another way, or at the last try; names the address and the cause.
    """
    waits = iter(WAITS)
    while True:
        try:
            return request(*file_system(address))
        except NoStoreError:
            raise
        except Exception as raised:
            error = _honest(raised)
            wait = next(waits, None)
            if not _is_transient(error):
                raise _readable(error, address, aim, "") from raised
            if wait is None:
                raise _readable(error, address, aim, f" (tried {len(WAITS) + 1} times)") from raised
            _say_once(address, error)
        # Workers that failed together must not all come again together.
        time.sleep(wait * random.SystemRandom().uniform(0.5, 1))


def _honest(error: Exception) -> Exception:
    """The cause, where fsspec says of a web server's every failure that there is no such file."""
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and isinstance(cause, Exception):
        status = _status(cause)
        if _is_transient(cause) or status not in (None, 404, 410):
            return cause
    return error


def _is_transient(error: Exception) -> bool:
    if isinstance(error, (FileNotFoundError, PermissionError)):
        return False
    return any(
        isinstance(one, (TimeoutError, ConnectionError, ShortAnswerError))
        or (isinstance(one, OSError) and one.errno in _ERRNO)
        or _status(one) in _STATUS
        or any(kind.__name__ in _CLASSES for kind in type(one).__mro__)
        for one in _with_causes(error)
    )


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _status(error: BaseException) -> int | None:
    """The HTTP status that an error of botocore, aiohttp or gcsfs tells."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        status = getattr(error, "status", None) or getattr(error, "code", None)
    return int(status) if isinstance(status, int) or str(status).isdecimal() else None


def _readable(error: Exception, address: str, aim: str, tries: str) -> OSError:
    if isinstance(error, FileNotFoundError) and aim == "read":
        return FileNotFoundError(f"{address}: no such file")
    kinds = (FileNotFoundError, PermissionError)
    kind = next((kind for kind in kinds if isinstance(error, kind)), OSError)
    return kind(f"{address}: cannot be {aim}: {_cause(error)}{tries}")


def _cause(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__


def _say_once(address: str, error: Exception) -> None:
    """Tell that a store fails now and then; once of each, since there may be many requests."""
    scheme, _, rest = address.partition("://")
    store = f"{scheme}://{rest.partition('/')[0]}"
    if store not in _said:
        _said.add(store)
        note(f"{address}: {_cause(error)}; what fails for a while at {store} is tried again")
