"""Train a config's model: ``trace-mm train`` for those who run MMEngine tools from a checkout."""

import sys

from trace_mm.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
