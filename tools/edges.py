"""Instance edges of images: ``trace-mm edges`` for those who run MMEngine tools from a checkout."""

import sys

from trace_mm.cli import main

if __name__ == "__main__":
    sys.exit(main(["edges", *sys.argv[1:]]))
