_base_ = ["../_base_/datasets/bsds500_edges.py", "../_base_/default_runtime.py"]

model = dict(type="SobelDetector", sigma=3.0)
