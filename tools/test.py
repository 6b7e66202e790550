"""Score a config's model: ``trace-mm test`` for those who run MMEngine tools from a checkout."""

import sys

from trace_mm.cli import main

if __name__ == "__main__":
    sys.exit(main(["test", *sys.argv[1:]]))
