# PASCAL VOC 2012: MARS's semantic maps, and things told apart by edges.
_base_ = ["../_base_/models/edges_photos.py"]
default_scope = "trace_mm"
data_root = "data/VOCdevkit/VOC2012"
images = "JPEGImages"
semantic = "semantic/mars"
classes = "voc2012"
labeler = dict(type="PanopticLabeler")
