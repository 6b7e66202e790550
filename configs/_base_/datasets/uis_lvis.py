# LVIS v1 val, 20K images of COCO 2017; docs/evaluation.md says how to write the annotation file.
data_root = "data/coco"

test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=False,
    collate_fn=dict(type="pseudo_collate"),
    sampler=dict(type="mmengine.DefaultSampler", shuffle=False),
    dataset=dict(
        type="SourceMaskDataset",
        images=dict(
            type="InstanceEdgeDataset",
            annotation="coco_instances",
            data_root=data_root,
            ann_file="annotations/lvis_v1_val_agnostic.json",
            data_prefix=dict(img_path=""),
        ),
        data_root=data_root,
        masks=dict(path="masks.json", format="auto"),  # each config names its own
    ),
)
test_cfg = dict(type="mmengine.TestLoop")
test_evaluator = dict(
    type="ClassAgnosticInstanceMetric",
    data_root=data_root,
    ann_file="annotations/lvis_v1_val_agnostic.json",
)
