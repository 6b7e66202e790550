# COCO 2017: DHR's semantic maps, and things told apart by edges.
_base_ = ["../_base_/models/edges_photos.py"]
default_scope = "trace_mm"
data_root = "data/coco"
images = "train2017"
semantic = "semantic/dhr"
classes = "coco2017-contiguous"
labeler = dict(type="PanopticLabeler")
