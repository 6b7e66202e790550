"""The server of the page: it runs until it is stopped, and leaves no file behind."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from trace_mm.app.environment import check_gradio, prepare
from trace_mm.app.photos import Limits
from trace_mm.app.session import AppModels

_SESSIONS = 20  # browsers whose photos are kept; the one that was quiet longest is forgotten
_WAITING = 32  # requests that may wait for their turn


@contextmanager
def served(
    models: AppModels, limits: Limits, host: str = "127.0.0.1", port: int = 7860, show: bool = False
) -> Iterator[str]:
    """Serve the page within this context, at the address that it yields.

    Args:
        models: what computes.
        limits: of uploads.
        host: whom it listens to: "127.0.0.1" for this machine alone.
        port: 0 for any that is free.
        show: open the page in a browser.

    Raises:
        ImportError: if Gradio is not installed.
        OSError: if the port is taken.
    """
    check_gradio()
    with TemporaryDirectory(prefix="trace_mm_app_") as folder:
        prepare(Path(folder))
        from trace_mm.app.page import build_page, style  # not before: it imports Gradio

        page = build_page(models, limits, Path(folder))
        page.queue(max_size=_WAITING, default_concurrency_limit=1)
        try:
            _, address, _ = page.launch(
                inbrowser=show,
                share=False,
                prevent_thread_lock=True,
                show_error=True,
                server_name=host,
                server_port=port or None,
                quiet=True,
                footer_links=[],
                max_file_size=int(limits.megabytes * 1e6),
                enable_monitoring=False,
                ssr_mode=False,
                mcp_server=False,
                state_session_capacity=_SESSIONS,
                **style(),
            )
            yield address
        finally:
            page.close(verbose=False)


@contextmanager
def stop_at_signals() -> Iterator[threading.Event]:
    """Within this context, a request to end sets an event, so that all is tidied up."""
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {one: signal.signal(one, ask) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
