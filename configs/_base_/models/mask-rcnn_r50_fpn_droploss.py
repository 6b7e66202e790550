# Mask R-CNN of one class as CutLER trains it: DropLoss, and all of a ResNet-50 pretrained by DINO.
_base_ = ["mmdet::_base_/models/mask-rcnn_r50_fpn.py"]
backbone_weights = (
    "https://dl.fbaipublicfiles.com/dino/dino_resnet50_pretrain/dino_resnet50_pretrain.pth"
)
norm = dict(type="SyncBN", requires_grad=True)
model = dict(
    backbone=dict(
        frozen_stages=-1,
        norm_cfg=norm,
        norm_eval=False,
        init_cfg=dict(type="Pretrained", checkpoint=backbone_weights),
    ),
    neck=dict(norm_cfg=norm),
    roi_head=dict(
        bbox_head=dict(type="trace_mm.DropLossBBoxHead", drop_threshold=0.01, num_classes=1),
        mask_head=dict(num_classes=1),
    ),
    train_cfg=dict(
        rpn_proposal=dict(max_per_img=4000, nms=dict(iou_threshold=0.65)),
        rcnn=dict(sampler=dict(type="trace_mm.DropLossSampler")),
    ),
    test_cfg=dict(
        rpn=dict(nms=dict(iou_threshold=0.65)),
        rcnn=dict(score_thr=0.0, max_per_img=100),
    ),
)
