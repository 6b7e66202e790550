"""What is handed on to others: a trained student as a folder, with its model card."""

from typing import TYPE_CHECKING

from trace_mm.lazy import lazy_exports

if TYPE_CHECKING:
    from trace_mm.publish.export import export_student
    from trace_mm.publish.push import Upload, plan_upload, push_student

__all__ = ["Upload", "export_student", "plan_upload", "push_student"]

__getattr__ = lazy_exports(__name__)
