"""Whether what models of MMDetection need is installed, and what to do if it is not."""

import importlib

_HELP = (
    "Mask2Former and the detectors need mmdet, and mmcv with its compiled operations. The section "
    "'Mask2Former and detectors' of docs/install.md has the steps that install them: onedl-mmcv "
    "must be compiled with MMCV_WITH_OPS=1 and --no-build-isolation, or it comes without its "
    "operations."
)


def require_mmdet() -> None:
    """Check that mmdet and mmcv with its compiled operations can be imported.

    Raises:
        ImportError: if not; says which is missing and what to install.
    """
    for name, what in (
        ("mmcv", "mmcv cannot be imported"),
        ("mmcv.ops", "mmcv was installed without its compiled operations"),
        ("mmdet.models", "mmdet cannot be imported"),
    ):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ImportError(f"{what} ({error}). {_HELP}", name=name) from error
