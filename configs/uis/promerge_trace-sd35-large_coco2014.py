# ProMerge's masks, refined by a paper-like student on Stable Diffusion 3.5 Large (Table 5).
_base_ = [
    "../_base_/models/mask-refiner_trace.py",
    "../_base_/datasets/uis_coco2014.py",
    "../_base_/default_runtime.py",
]
edges = "work_dirs/trace_sd35-large_lora64_imagenet/iter_20000.pth"
# Its edges are not calibrated, and most are near 0 or 1.
model = dict(edges=dict(source=edges), refiner=dict(threshold=0.5))
test_dataloader = dict(dataset=dict(masks=dict(path="masks/promerge_coco2014.json")))
