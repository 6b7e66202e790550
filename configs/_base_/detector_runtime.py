# Runtime of detectors: MMDetection's, by iterations, with checkpoints that survive a kill.
_base_ = ["mmdet::_base_/default_runtime.py"]
custom_imports = dict(imports=["trace_mm.detectors"], allow_failed_imports=False)
default_hooks = dict(
    checkpoint=dict(
        type="trace_mm.WholeCheckpointHook", by_epoch=False, interval="auto", max_keep_ckpts=2
    )
)
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
