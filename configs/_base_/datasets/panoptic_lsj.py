# Panoptic data for Mask2Former with large-scale jittering, as mmdet's configs have it. Those bring
# a dataset of their own, which a second base may not contradict: so this one stands in a dict that
# configs put in its place.
image_size = (1024, 1024)
panoptic = dict(
    train=dict(
        type="trace_mm.PanopticLabelDataset",
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=[
            dict(type="trace_mm.LoadImageFromFile", to_float32=True),
            dict(type="trace_mm.LoadPanopticAnnotations"),
            dict(type="RandomFlip", prob=0.5),
            dict(type="RandomResize", scale=image_size, ratio_range=(0.1, 2.0), keep_ratio=True),
            dict(
                type="RandomCrop",
                crop_size=image_size,
                crop_type="absolute",
                recompute_bbox=True,
                allow_negative_crop=True,
            ),
            dict(type="PackDetInputs"),
        ],
    ),
    test=dict(
        type="trace_mm.PanopticLabelDataset",
        test_mode=True,
        pipeline=[
            dict(type="trace_mm.LoadImageFromFile"),
            dict(type="Resize", scale=(1333, 800), keep_ratio=True),
            dict(
                type="PackDetInputs",
                meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
            ),
        ],
    ),
    evaluator=dict(type="trace_mm.PanopticQualityMetric", by_category=True),
)
del image_size  # mmdet's configs define it too
