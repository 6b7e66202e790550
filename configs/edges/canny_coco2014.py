_base_ = ["../_base_/datasets/coco2014_panoptic_edges.py", "../_base_/default_runtime.py"]

model = dict(type="CannyDetector", sigma=6.0)
# Canny thins by itself, and its published scores are of maps scored as they are.
test_evaluator = dict(suppress=False)
