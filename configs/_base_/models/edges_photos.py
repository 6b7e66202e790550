# Where edges come from: a student (a shipped name, a folder of `trace-mm export`, its hub id, or a
# checkpoint), a backbone of `trace-mm backbones`, a config, or a folder of edge maps.
edges = "trace-tiny-photo"
model = dict(type="EdgesFrom", source=edges)
