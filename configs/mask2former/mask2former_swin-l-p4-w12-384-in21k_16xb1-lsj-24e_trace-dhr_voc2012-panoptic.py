# Swin-L on labels that trace-mm panoptic made of DHR's semantic masks (paper, Table 2).
_base_ = [
    "mmdet::mask2former/mask2former_swin-l-p4-w12-384-in21k_16xb1-lsj-100e_coco-panoptic.py",
    "../_base_/datasets/panoptic_voc2012.py",
]
custom_imports = dict(imports=["trace_mm.mask2former"], allow_failed_imports=False)
model = _base_.panoptic.model
data_root = _base_.root
train_dataloader = dict(
    dataset=dict(_delete_=True, **_base_.panoptic.train, labels="data/labels/trace-dhr_voc2012")
)
val_dataloader = dict(dataset=dict(_delete_=True, **_base_.panoptic.test))
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, **_base_.panoptic.evaluator)
test_evaluator = val_evaluator
# 24 epochs with steps after 15 and 20, as Point2Mask trains on VOC: 10,582 images in batches of 16.
max_iters = 10582 * 24 // 16
param_scheduler = dict(end=max_iters, milestones=[max_iters * 15 // 24, max_iters * 20 // 24])
train_cfg = dict(_delete_=True, type="IterBasedTrainLoop", max_iters=max_iters, val_interval=2000)
default_hooks = dict(checkpoint=dict(interval=2000))
# The schedule is for 16 images an iteration; with fewer GPUs, as many images take more iterations.
auto_scale_lr = dict(enable=True, iterations=True)
