# Where edges come from: as in edges_photos.py, but the student is the one for drawn scenes.
edges = "trace-tiny"
model = dict(type="EdgesFrom", source=edges)
