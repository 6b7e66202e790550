# The student that comes with the package.
_base_ = ["./trace-student_trace-tiny.py"]
model = dict(checkpoint="trace-tiny")
