_base_ = ["../_base_/datasets/coco2014_panoptic_edges.py", "../_base_/default_runtime.py"]

# The folder of edge maps is given by `tools/test.py CONFIG --edges DIR` or here.
model = dict(type="EdgeFolder", folder="data/edges/coco2014")
