# The same on labels of MARS's semantic masks.
_base_ = ["./mask2former_swin-l-p4-w12-384-in21k_16xb1-lsj-100e_trace-dhr_coco2017-panoptic.py"]
train_dataloader = dict(dataset=dict(labels="data/labels/trace-mars_coco2017"))
