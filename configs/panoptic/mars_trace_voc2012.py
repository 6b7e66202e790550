# PASCAL VOC 2012: MARS's semantic maps, and things told apart by the shipped photo student's edges.
_base_ = ["../_base_/models/trace-student_trace-tiny-photo_shipped.py"]
default_scope = "trace_mm"
data_root = "data/VOCdevkit/VOC2012"
images = "JPEGImages"
semantic = "semantic/mars"
classes = "voc2012"
labeler = dict(type="PanopticLabeler")
