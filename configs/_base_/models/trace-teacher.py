# The training-free teacher on the shipped backbone. What is not set here comes from the backbone's
# trace.json, and else from the paper.
model = dict(type="TraceTeacher", backbone=dict(pretrained="trace-tiny"))
