# Procedural scenes that tools/dataset_converters/scenes.py writes, with scores of
# tools/benchmark/score_maps.py --write data/scenes/scores.
_base_ = ["./semantic.py"]
data_root = "data/scenes"
# fmt: off
classes = [
    "background", "disc", "box", "triangle", "star", "cross", "blob", "crescent", "capsule",
]
# fmt: on
test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        protocol=classes,
        data_prefix=dict(img_path="images", seg_path="semantic", score_path="scores"),
    )
)
