# BSDS500, several annotators an image: https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping
data_root = "data/bsds500_val"

test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=False,
    collate_fn=dict(type="pseudo_collate"),
    sampler=dict(type="mmengine.DefaultSampler", shuffle=False),
    dataset=dict(
        type="InstanceEdgeDataset",
        annotation="bsds500",
        data_root=data_root,
        data_prefix=dict(img_path="images", seg_path="groundTruth"),
    ),
)
test_cfg = dict(type="mmengine.TestLoop")
test_evaluator = dict(type="InstanceEdgeMetric", tolerance=0.0075)
