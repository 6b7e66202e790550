_base_ = [
    "../_base_/models/mask-refiner_trace_scenes.py",
    "../_base_/datasets/uis_scenes.py",
    "../_base_/default_runtime.py",
]
test_dataloader = dict(dataset=dict(masks=dict(path="masks/promerge_scenes.json")))
