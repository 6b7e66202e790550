# COCO 2017: MARS's semantic maps, and things told apart by edges.
_base_ = ["../_base_/models/edges_photos.py"]
default_scope = "trace_mm"
data_root = "data/coco"
images = "train2017"
semantic = "semantic/mars"
classes = "coco2017-contiguous"
labeler = dict(type="PanopticLabeler")
