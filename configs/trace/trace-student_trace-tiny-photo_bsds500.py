_base_ = [
    "../_base_/models/trace-student_trace-tiny-photo_shipped.py",
    "../_base_/datasets/bsds500_edges.py",
    "../_base_/default_runtime.py",
]
