_base_ = [
    "../_base_/models/mask-refiner_trace.py",
    "../_base_/datasets/uis_monuseg.py",
    "../_base_/default_runtime.py",
]
test_dataloader = dict(dataset=dict(masks=dict(path="masks/coin_monuseg", format="coin")))
