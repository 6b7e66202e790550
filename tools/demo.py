"""A report of what the model sees: ``trace-mm demo`` for those who run tools from a checkout."""

import sys

from trace_mm.cli import main

if __name__ == "__main__":
    sys.exit(main(["demo", *sys.argv[1:]]))
