"""KITTI to a class-agnostic annotation file: boxes of 7,481 images, or masks of 200."""

import argparse

from trace_mm.datasets.converters import (
    convert_kitti_boxes,
    convert_kitti_instances,
    describe,
    write_annotation_file,
)

CONVERTERS = {"boxes": convert_kitti_boxes, "instances": convert_kitti_instances}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data-root", required=True, help="folder with image_2, and label_2 or instance"
    )
    parser.add_argument(
        "--kind",
        choices=list(CONVERTERS),
        default="boxes",
        help="object detection (label_2) or instance segmentation (instance); default: boxes",
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="JSON file to write")
    options = parser.parse_args()
    content = CONVERTERS[options.kind](options.data_root)
    write_annotation_file(content, options.out)
    print(f"{options.out}: {describe(content)}")


if __name__ == "__main__":
    main()
