"""PASCAL VOC 2012 to a class-agnostic annotation file."""

import argparse

from trace_mm.datasets.converters import convert_voc2012, describe, write_annotation_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", required=True, help="VOCdevkit/VOC2012")
    parser.add_argument("--split", default="val", help="list in ImageSets/Segmentation")
    parser.add_argument("--out", required=True, metavar="FILE", help="JSON file to write")
    options = parser.parse_args()
    content = convert_voc2012(options.data_root, options.split)
    write_annotation_file(content, options.out)
    print(f"{options.out}: {describe(content)}")


if __name__ == "__main__":
    main()
