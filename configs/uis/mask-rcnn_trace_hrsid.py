_base_ = [
    "../_base_/models/mask-refiner_trace.py",
    "../_base_/datasets/uis_hrsid.py",
    "../_base_/default_runtime.py",
]
test_dataloader = dict(dataset=dict(masks=dict(path="masks/mask-rcnn_hrsid.json", format="coco")))
