# Mask R-CNN on the frozen shipped diffusion model, with heads of few channels and samples: small
# enough to learn on a processor core. Images have 128 x 128 pixels, objects are 10 to 90 wide.
width = 64
strides = [4, 8, 16, 32]
box_coder = dict(type="DeltaXYWHBBoxCoder", target_means=[0.0] * 4)
max_iou = dict(type="MaxIoUAssigner", ignore_iof_thr=-1)
model = dict(
    type="MaskRCNN",
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[0.0, 0.0, 0.0],
        std=[255.0, 255.0, 255.0],  # to [0, 1]
        bgr_to_rgb=True,
        pad_mask=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type="trace_mm.DiffusionPyramid",
        pretrained="trace-tiny",
        channels=(64, 128, 128, 128),
        cached_images=2000,
    ),
    neck=dict(type="FPN", in_channels=[64, 128, 128, 128], out_channels=width, num_outs=4),
    rpn_head=dict(
        type="RPNHead",
        in_channels=width,
        feat_channels=width,
        anchor_generator=dict(
            type="AnchorGenerator", scales=[4], ratios=[0.5, 1.0, 2.0], strides=strides
        ),
        bbox_coder=dict(box_coder, target_stds=[1.0] * 4),
        loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type="L1Loss", loss_weight=1.0),
    ),
    roi_head=dict(
        type="StandardRoIHead",
        bbox_roi_extractor=dict(
            type="SingleRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=7, sampling_ratio=2),
            out_channels=width,
            featmap_strides=strides,
            finest_scale=28,
        ),
        bbox_head=dict(
            type="trace_mm.DropLossBBoxHead",
            drop_threshold=0.01,
            in_channels=width,
            fc_out_channels=256,
            roi_feat_size=7,
            num_classes=1,
            bbox_coder=dict(box_coder, target_stds=[0.1, 0.1, 0.2, 0.2]),
            reg_class_agnostic=True,
            loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type="L1Loss", loss_weight=1.0),
        ),
        mask_roi_extractor=dict(
            type="SingleRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=14, sampling_ratio=2),
            out_channels=width,
            featmap_strides=strides,
            finest_scale=28,
        ),
        mask_head=dict(
            type="FCNMaskHead",
            num_convs=3,
            in_channels=width,
            conv_out_channels=width,
            num_classes=1,
            loss_mask=dict(type="CrossEntropyLoss", use_mask=True, loss_weight=1.0),
        ),
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                max_iou, pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3, match_low_quality=True
            ),
            sampler=dict(
                type="RandomSampler",
                num=128,
                pos_fraction=0.5,
                neg_pos_ub=-1,
                add_gt_as_proposals=False,
            ),
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
        ),
        rpn_proposal=dict(
            nms_pre=500, max_per_img=300, nms=dict(type="nms", iou_threshold=0.65), min_bbox_size=0
        ),
        rcnn=dict(
            assigner=dict(
                max_iou, pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5, match_low_quality=False
            ),
            sampler=dict(
                type="trace_mm.DropLossSampler",
                num=64,
                pos_fraction=0.25,
                neg_pos_ub=-1,
                add_gt_as_proposals=True,
            ),
            mask_size=28,
            pos_weight=-1,
            debug=False,
        ),
    ),
    test_cfg=dict(
        rpn=dict(
            nms_pre=500, max_per_img=200, nms=dict(type="nms", iou_threshold=0.65), min_bbox_size=0
        ),
        rcnn=dict(
            score_thr=0.0,
            nms=dict(type="nms", iou_threshold=0.5),
            max_per_img=100,
            mask_thr_binary=0.5,
        ),
    ),
)
del width, strides, box_coder, max_iou
