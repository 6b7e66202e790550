"""What must hold before Gradio is imported: no telemetry, and temporary files in one folder."""

import os
from importlib.util import find_spec
from pathlib import Path

INSTALL = "trace-mm app needs Gradio 6: pip install 'gradio>=6,<7'"

_QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}


def check_gradio() -> None:
    """Refuse to go on without Gradio.

    Raises:
        ImportError: if it is not installed; says what to do.
    """
    if find_spec("gradio") is None:
        raise ImportError(INSTALL)


def prepare(folder: Path) -> None:
    """Set the environment of this process.

    Args:
        folder: where uploads and pictures are put.
    """
    os.environ.update(_QUIET)
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    os.environ.setdefault("MPLBACKEND", "Agg")
