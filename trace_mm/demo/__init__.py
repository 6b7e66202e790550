"""The demo: a page that shows what a model sees in a few images."""

from typing import TYPE_CHECKING

from trace_mm.lazy import lazy_exports

if TYPE_CHECKING:
    from trace_mm.demo.report import demo_photos, demo_scenes, write_demo

__all__ = ["demo_photos", "demo_scenes", "write_demo"]

__getattr__ = lazy_exports(__name__)
