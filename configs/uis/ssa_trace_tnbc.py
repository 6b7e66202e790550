_base_ = [
    "../_base_/models/mask-refiner_trace.py",
    "../_base_/datasets/uis_tnbc.py",
    "../_base_/default_runtime.py",
]
test_dataloader = dict(dataset=dict(masks=dict(path="masks/ssa_tnbc", format="ssa")))
