# Masks of drawn scenes refined by edges; where these come from is `edges`.
_base_ = ["./edges_scenes.py"]
model = dict(
    _delete_=True,
    type="MaskRefiner",
    edges={{_base_.model}},
    refiner=dict(type="BoundaryGuidedPropagation", preset="scenes"),  # "photos", "paper"
    scores=None,  # the refiner's; or "source", "constant", "outline"
)
