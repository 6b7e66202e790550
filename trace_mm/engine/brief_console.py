"""What a run says of itself at length goes to its log file, and not to the screen."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.logging import MMLogger

_MANY_LINES = 4
_NOT_FOR_USERS = (
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
    "Distributed training is not used, all SyncBatchNorm",
)


@contextmanager
def brief_console() -> Iterator[None]:
    """Within this context, mmengine's loggers keep the screen for what a person wants to see.

    Log files have the rest too: what is known of the environment, the config and the order of
    hooks, 200 lines before the first iteration, what mmengine finds outdated in itself, and what it
    does to layers that no model here has.
    """
    everywhere = MMLogger.callHandlers

    def call_handlers(logger: MMLogger, record: logging.LogRecord) -> None:
        if not _is_for_files(record):
            everywhere(logger, record)
            return
        for handler in logger.handlers:
            if isinstance(handler, logging.FileHandler) and record.levelno >= handler.level:
                handler.handle(record)

    MMLogger.callHandlers = call_handlers
    try:
        with warnings.catch_warnings():
            # As it has to be while gradients are accumulated over iterations.
            warnings.filterwarnings("ignore", r"Detected call of `scheduler\.step\(\)` before")
            yield
    finally:
        MMLogger.callHandlers = everywhere


def _is_for_files(record: logging.LogRecord) -> bool:
    text = record.getMessage()
    is_long = record.levelno < logging.WARNING and text.count("\n") >= _MANY_LINES
    return is_long or text.startswith(_NOT_FOR_USERS)
