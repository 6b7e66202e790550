_base_ = ["../_base_/datasets/coco2014_panoptic_edges.py", "../_base_/default_runtime.py"]

model = dict(type="SobelDetector", sigma=5.0)
