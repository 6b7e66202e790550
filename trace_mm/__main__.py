"""``python -m trace_mm`` is ``trace-mm``, for launchers such as torchrun."""

import sys

from trace_mm.cli import main

if __name__ == "__main__":
    sys.exit(main())
