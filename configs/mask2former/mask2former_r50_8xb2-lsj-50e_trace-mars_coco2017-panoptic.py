# The same on labels of MARS's semantic masks.
_base_ = ["./mask2former_r50_8xb2-lsj-50e_trace-dhr_coco2017-panoptic.py"]
train_dataloader = dict(dataset=dict(labels="data/labels/trace-mars_coco2017"))
