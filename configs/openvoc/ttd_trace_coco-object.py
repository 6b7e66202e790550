_base_ = [
    "../_base_/models/score-refiner_trace.py",
    "../_base_/datasets/semantic_coco-object.py",
    "../_base_/default_runtime.py",
]
test_dataloader = dict(dataset=dict(data_prefix=dict(score_path="scores/ttd_coco-object")))
