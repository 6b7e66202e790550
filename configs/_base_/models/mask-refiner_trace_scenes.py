# Masks refined by the edges of the student for drawn scenes that comes with the package.
_base_ = ["./trace-student_trace-tiny_shipped.py"]
model = dict(
    _delete_=True,
    type="MaskRefiner",
    edges={{_base_.model}},
    refiner=dict(type="BoundaryGuidedPropagation", preset="scenes"),  # "photos", "paper"
    scores=None,  # the refiner's; or "source", "constant", "outline"
)
