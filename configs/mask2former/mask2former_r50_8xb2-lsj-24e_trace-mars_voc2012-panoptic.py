# The same on labels of MARS's semantic masks.
_base_ = ["./mask2former_r50_8xb2-lsj-24e_trace-dhr_voc2012-panoptic.py"]
train_dataloader = dict(dataset=dict(labels="data/labels/trace-mars_voc2012"))
