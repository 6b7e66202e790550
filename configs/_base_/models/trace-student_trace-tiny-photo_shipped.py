# A trained student, to predict with: the one for photos that comes with the package. Another: a
# folder of `trace-mm export`, its hub id, or a checkpoint.
student = "trace-tiny-photo"
model = dict(type="TrainedStudent", student=student)
