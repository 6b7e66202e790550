"""Modules that have moved out of ``trace_mm.apis``: who asks for one is told its new name."""

import sys
from collections.abc import Mapping
from types import MappingProxyType

MOVED: Mapping[str, str] = MappingProxyType(
    {
        "trace_mm.apis.batches": "trace_mm.runs.executors",
        "trace_mm.apis.config_options": "trace_mm.engine.config_options",
        "trace_mm.apis.demo": "trace_mm.demo.report",
        "trace_mm.apis.demo_text": "trace_mm.demo.text",
        "trace_mm.apis.devices": "trace_mm.models.devices",
        "trace_mm.apis.edge_sources": "trace_mm.jobs.edge_sources",
        "trace_mm.apis.export": "trace_mm.publish.export",
        "trace_mm.apis.fingerprints": "trace_mm.files.fingerprints",
        "trace_mm.apis.instance_records": "trace_mm.runs.records",
        "trace_mm.apis.json_lines": "trace_mm.runs.records",
        "trace_mm.apis.manifest": "trace_mm.runs.journal",
        "trace_mm.apis.model_card": "trace_mm.publish.model_card",
        "trace_mm.apis.model_config": "trace_mm.models.model_config",
        "trace_mm.apis.panoptic_inputs": "trace_mm.jobs.panoptic_inputs",
        "trace_mm.apis.panoptic_labelling": "trace_mm.jobs.panoptic",
        "trace_mm.apis.panoptic_records": "trace_mm.jobs.panoptic_files",
        "trace_mm.apis.panoptic_summary": "trace_mm.jobs.panoptic_summary",
        "trace_mm.apis.places": "trace_mm.jobs.places",
        "trace_mm.apis.progress": "trace_mm.runs.progress",
        "trace_mm.apis.ranks": "trace_mm.runs.group",
        "trace_mm.apis.refinement_inputs": "trace_mm.jobs.refinement_inputs",
        "trace_mm.apis.refinement_summary": "trace_mm.jobs.refinement_summary",
        "trace_mm.apis.results": "trace_mm.jobs.edge_files",
        "trace_mm.apis.runner_config": "trace_mm.engine.runner_config",
        "trace_mm.apis.training_record": "trace_mm.publish.training_record",
        "trace_mm.apis.worker_pool": "trace_mm.runs.pool",
    }
)
"""The new name of each module, by its old one."""


class MovedModules:
    """A finder (``sys.meta_path``) that refuses the old names of modules with their new ones."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """Refuse a module that has moved; find no other.

        Raises:
            ImportError: if the module has moved.
        """
        if name in MOVED:
            raise ImportError(f"{name} is now {MOVED[name]}", name=name)


def refuse_moved_modules() -> None:
    """Let imports of old names say the new ones. Once is enough; more do no harm."""
    if MovedModules not in sys.meta_path:
        sys.meta_path.append(MovedModules)  # last: what is there is found before
