# Cascade Mask R-CNN of one class as CutLER trains it: all of a ResNet-50 that DINO has pretrained,
# DropLoss in each stage.
_base_ = ["mmdet::_base_/models/cascade-mask-rcnn_r50_fpn.py"]
backbone_weights = (
    "https://dl.fbaipublicfiles.com/dino/dino_resnet50_pretrain/dino_resnet50_pretrain.pth"
)
norm = dict(type="SyncBN", requires_grad=True)
heads = [
    dict(head, type="trace_mm.DropLossBBoxHead", drop_threshold=0.01, num_classes=1)
    for head in _base_.model.roi_head.bbox_head
]
stages = [
    dict(stage, sampler=dict(stage["sampler"], type="trace_mm.DropLossSampler"))
    for stage in _base_.model.train_cfg.rcnn
]
model = dict(
    backbone=dict(
        frozen_stages=-1,
        norm_cfg=norm,
        norm_eval=False,
        init_cfg=dict(type="Pretrained", checkpoint=backbone_weights),
    ),
    neck=dict(norm_cfg=norm),
    roi_head=dict(bbox_head=heads, mask_head=dict(num_classes=1)),
    train_cfg=dict(
        rpn_proposal=dict(max_per_img=4000, nms=dict(iou_threshold=0.65)),
        rcnn=stages,
    ),
    test_cfg=dict(
        rpn=dict(nms=dict(iou_threshold=0.65)),
        rcnn=dict(score_thr=0.0, max_per_img=100),
    ),
)
del heads, stages
