_base_ = ["../_base_/datasets/scene_edges.py", "../_base_/default_runtime.py"]

model = dict(type="SobelDetector", sigma=4.0)
