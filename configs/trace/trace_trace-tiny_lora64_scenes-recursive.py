# The next generation: the shipped student is the teacher of a new one.
_base_ = ["./trace_trace-tiny_lora64_scenes.py"]
train_dataloader = dict(
    dataset=dict(
        pseudo_edges=dict(teacher=dict(_delete_=True, **_base_.model, checkpoint="trace-tiny"))
    )
)
