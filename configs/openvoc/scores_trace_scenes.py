_base_ = [
    "../_base_/models/score-refiner_trace_scenes.py",
    "../_base_/datasets/semantic_scenes.py",
    "../_base_/default_runtime.py",
]
