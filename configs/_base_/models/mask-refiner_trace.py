# Masks refined by edges; where these come from is `edges`.
_base_ = ["./edges_photos.py"]
model = dict(
    _delete_=True,
    type="MaskRefiner",
    edges={{_base_.model}},
    refiner=dict(type="BoundaryGuidedPropagation", preset="photos"),  # "scenes", "paper"
    scores=None,  # the refiner's; or "source", "constant", "outline"
)
