# Microscopy of the 2018 Data Science Bowl: a folder an image, with a mask for each nucleus.
data_root = "data/nuclei"

test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=False,
    collate_fn=dict(type="pseudo_collate"),
    sampler=dict(type="mmengine.DefaultSampler", shuffle=False),
    dataset=dict(
        type="InstanceEdgeDataset",
        annotation="mask_folders",
        data_root=data_root,
        data_prefix=dict(img_path=""),
    ),
)
test_cfg = dict(type="mmengine.TestLoop")
test_evaluator = dict(type="InstanceEdgeMetric", tolerance=0.0075)
