"""PASCAL VOC 2012 to a COCO panoptic dataset of 20 things and background."""

import argparse

from trace_mm.datasets.converters import convert_voc2012_panoptic, describe_panoptic


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", required=True, help="VOCdevkit/VOC2012")
    parser.add_argument("--split", default="val", help="list in ImageSets/Segmentation")
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="for panoptic.json and panoptic/<stem>.png"
    )
    options = parser.parse_args()
    content = convert_voc2012_panoptic(options.data_root, options.split, options.out)
    print(f"{options.out}: {describe_panoptic(content)}")


if __name__ == "__main__":
    main()
