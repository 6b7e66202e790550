# ResNet-50 on labels that trace-mm panoptic made of DHR's semantic masks (paper, Table 2).
_base_ = [
    "mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py",
    "../_base_/datasets/panoptic_coco2017.py",
]
custom_imports = dict(imports=["trace_mm.mask2former"], allow_failed_imports=False)
data_root = _base_.root
train_dataloader = dict(
    dataset=dict(_delete_=True, **_base_.panoptic.train, labels="data/labels/trace-dhr_coco2017")
)
val_dataloader = dict(dataset=dict(_delete_=True, **_base_.panoptic.test))
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, **_base_.panoptic.evaluator)
test_evaluator = val_evaluator
# The schedule is for 16 images an iteration; with fewer GPUs, as many images take more iterations.
auto_scale_lr = dict(enable=True, iterations=True)
