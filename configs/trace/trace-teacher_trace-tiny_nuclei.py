_base_ = [
    "../_base_/models/trace-teacher.py",
    "../_base_/datasets/nuclei_edges.py",
    "../_base_/default_runtime.py",
]
