_base_ = [
    "../_base_/models/trace-student_trace-tiny_shipped.py",
    "../_base_/datasets/scene_edges.py",
    "../_base_/default_runtime.py",
]
