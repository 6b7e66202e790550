"""fsspec's file systems, with time-outs and retries that suit long runs.

They are looked up for each request: theirs are event loops and connections, which a pickle does not
hold and a forked process cannot use. fsspec makes one for each thread of each process.
"""

from typing import Any

from trace_mm.files.addresses import is_address, scheme_of

_S3 = {"s3", "s3a"}
_HTTP = {"http", "https"}
_CONNECT, _READ = 10, 30  # seconds
# As botocore calls them.
_S3_CONFIG = {
    "connect_timeout": _CONNECT,
    "read_timeout": _READ,
    "retries": {"mode": "standard", "total_max_attempts": 3},
}

# A forked process that threw these away would take its parent's connections out of the parent's
# event loop, which then waits forever. So it keeps them, unused.
_never_thrown_away: dict[int, Any] = {}


class NoStoreError(ValueError):
    """There is no file system for an address."""


def file_system(address: str) -> tuple[Any, str]:
    """The file system of an address, and what it calls the file.

    Raises:
        NoStoreError: if there is none of that scheme, or its package is missing; names both.
    """
    import fsspec

    if not is_address(address):
        raise NoStoreError(f"{address}: a local path, not an address of a store")
    scheme = scheme_of(address)
    try:
        system, path = fsspec.core.url_to_fs(address, **_options(scheme))
    except ImportError as error:
        remedy = "pip install 'trace_mm[s3]'" if scheme in _S3 else error
        raise NoStoreError(
            f"{address}: the package for {scheme}:// is missing: {remedy}"
        ) from error
    except ValueError as error:
        if scheme in fsspec.available_protocols():
            raise NoStoreError(f"{address}: {error}") from error
        raise NoStoreError(f"{address}: fsspec knows no store of the kind {scheme}://") from error
    if scheme in _S3:
        system.retries = 1  # botocore tries again, and so do we
    _never_thrown_away[id(system)] = system
    return system, path


def is_s3(address: str) -> bool:
    """Whether a store is S3, or speaks as it does."""
    return scheme_of(address) in _S3


def renames(system: Any) -> bool:
    """Whether it has files and names for them, where object stores have whole objects only."""
    from fsspec import AbstractFileSystem

    return type(system).mv is not AbstractFileSystem.mv


def _options(scheme: str) -> dict[str, Any]:
    """How to make a file system; what the user's configuration of fsspec says comes first."""
    from fsspec.config import conf

    if scheme in _S3:
        config = {**_S3_CONFIG, **conf.get("s3", {}).get("config_kwargs", {})}
        # Of a large object so many parts of 50 MB are sent at once, each held in memory.
        return {"use_listings_cache": False, "max_concurrency": 2, "config_kwargs": config}
    if scheme in _HTTP:
        from aiohttp import ClientTimeout

        # Without it, a large file must come within 5 minutes.
        timeout = ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_READ)
        return {
            "client_kwargs": {"timeout": timeout, **conf.get(scheme, {}).get("client_kwargs", {})}
        }
    return {}
