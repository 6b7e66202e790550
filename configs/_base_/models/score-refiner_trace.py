# Scores of classes refined by edges; where these come from is `edges`.
_base_ = ["./edges_photos.py"]
model = dict(
    _delete_=True,
    type="ScoreRefiner",
    edges={{_base_.model}},  # None decides scores as they are
    refiner=dict(type="ScorePropagation", preset="nearest", background=None),  # or "paper"
)
