# DHR's maps, things told apart by a paper-like student on SDXL.
_base_ = ["./dhr_trace_coco2017.py"]
edges = "work_dirs/trace_sdxl_lora64_coco2014/iter_20000.pth"
model = dict(source=edges)
# Its edges are not calibrated, and most are near 0 or 1.
labeler = dict(threshold=0.5)
