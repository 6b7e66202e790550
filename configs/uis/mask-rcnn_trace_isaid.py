_base_ = [
    "../_base_/models/mask-refiner_trace.py",
    "../_base_/datasets/uis_isaid.py",
    "../_base_/default_runtime.py",
]
test_dataloader = dict(dataset=dict(masks=dict(path="masks/mask-rcnn_isaid.json", format="coco")))
