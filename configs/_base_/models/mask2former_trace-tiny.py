# Mask2Former on the frozen shipped diffusion model, with a head of few queries, layers, channels
# and points: small enough to learn on a processor core.
num_things_classes = 1
num_stuff_classes = 1
num_classes = num_things_classes + num_stuff_classes
width = 64
num_heads = 4
attention = dict(embed_dims=width, num_heads=num_heads, dropout=0.0, batch_first=True)
feed_forward = dict(
    embed_dims=width,
    feedforward_channels=4 * width,
    num_fcs=2,
    ffn_drop=0.0,
    act_cfg=dict(type="ReLU", inplace=True),
)
model = dict(
    type="Mask2Former",
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[0.0, 0.0, 0.0],
        std=[255.0, 255.0, 255.0],  # to [0, 1]
        bgr_to_rgb=True,
        pad_size_divisor=32,
        pad_mask=True,
        mask_pad_value=0,
        pad_seg=True,
        seg_pad_value=255,
    ),
    backbone=dict(
        type="trace_mm.DiffusionPyramid",
        pretrained="trace-tiny",
        channels=(64, 128, 128, 128),
        cached_images=2000,
    ),
    panoptic_head=dict(
        type="Mask2FormerHead",
        in_channels=[64, 128, 128, 128],
        strides=[4, 8, 16, 32],
        feat_channels=width,
        out_channels=width,
        num_things_classes=num_things_classes,
        num_stuff_classes=num_stuff_classes,
        num_queries=16,
        num_transformer_feat_level=3,
        pixel_decoder=dict(
            type="MSDeformAttnPixelDecoder",
            num_outs=3,
            norm_cfg=dict(type="GN", num_groups=8),
            act_cfg=dict(type="ReLU"),
            encoder=dict(
                num_layers=1,
                layer_cfg=dict(
                    self_attn_cfg=dict(num_levels=3, num_points=4, **attention),
                    ffn_cfg=feed_forward,
                ),
            ),
            positional_encoding=dict(num_feats=width // 2, normalize=True),
        ),
        enforce_decoder_input_project=False,
        positional_encoding=dict(num_feats=width // 2, normalize=True),
        transformer_decoder=dict(
            return_intermediate=True,
            num_layers=3,
            layer_cfg=dict(self_attn_cfg=attention, cross_attn_cfg=attention, ffn_cfg=feed_forward),
            init_cfg=None,
        ),
        loss_cls=dict(
            type="CrossEntropyLoss",
            use_sigmoid=False,
            loss_weight=2.0,
            reduction="mean",
            class_weight=[1.0] * num_classes + [0.1],
        ),
        loss_mask=dict(
            type="CrossEntropyLoss", use_sigmoid=True, reduction="mean", loss_weight=5.0
        ),
        loss_dice=dict(
            type="DiceLoss",
            use_sigmoid=True,
            activate=True,
            reduction="mean",
            naive_dice=True,
            eps=1.0,
            loss_weight=5.0,
        ),
    ),
    panoptic_fusion_head=dict(
        type="MaskFormerFusionHead",
        num_things_classes=num_things_classes,
        num_stuff_classes=num_stuff_classes,
        loss_panoptic=None,
        init_cfg=None,
    ),
    train_cfg=dict(
        num_points=512,
        oversample_ratio=3.0,
        importance_sample_ratio=0.75,
        assigner=dict(
            type="HungarianAssigner",
            match_costs=[
                dict(type="ClassificationCost", weight=2.0),
                dict(type="CrossEntropyLossCost", weight=5.0, use_sigmoid=True),
                dict(type="DiceCost", weight=5.0, pred_act=True, eps=1.0),
            ],
        ),
        sampler=dict(type="MaskPseudoSampler"),
    ),
    test_cfg=dict(
        panoptic_on=True,
        semantic_on=False,
        instance_on=False,
        max_per_image=16,
        object_mask_thr=0.4,  # mmdet's 0.8 is for models that are surer of their classes
        iou_thr=0.6,
        filter_low_score=True,
    ),
)
