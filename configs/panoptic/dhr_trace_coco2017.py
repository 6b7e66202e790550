# COCO 2017: DHR's semantic maps, and things told apart by the shipped photo student's edges.
_base_ = ["../_base_/models/trace-student_trace-tiny-photo_shipped.py"]
default_scope = "trace_mm"
data_root = "data/coco"
images = "train2017"
semantic = "semantic/dhr"
classes = "coco2017-contiguous"
labeler = dict(type="PanopticLabeler")
