# Masks refined by the edges of the photo student that comes with the package.
_base_ = ["./trace-student_trace-tiny-photo_shipped.py"]
model = dict(
    _delete_=True,
    type="MaskRefiner",
    edges={{_base_.model}},
    refiner=dict(type="BoundaryGuidedPropagation", preset="photos"),  # "scenes", "paper"
    scores=None,  # the refiner's; or "source", "constant", "outline"
)
