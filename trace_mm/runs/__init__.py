"""Long work on many images: what is done and recorded, resumed, and shared among processes.

Knows keys, records and processes, and no models. A job (:class:`trace_mm.runs.job.Job`) says what
is done with each item; :func:`trace_mm.runs.engine.run` does it.
"""
