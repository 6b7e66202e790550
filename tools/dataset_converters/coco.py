"""COCO 2014 or 2017 to a class-agnostic annotation file."""

import argparse

from trace_mm.datasets.converters import convert_coco, describe, write_annotation_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--annotations", required=True, help="such as instances_val2017.json")
    parser.add_argument("--out", required=True, metavar="FILE", help="JSON file to write")
    options = parser.parse_args()
    content = convert_coco(options.annotations)
    write_annotation_file(content, options.out)
    print(f"{options.out}: {describe(content)}")


if __name__ == "__main__":
    main()
