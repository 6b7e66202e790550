"""The nodes as ComfyUI loads and calls them; its loader is imitated."""

import importlib.util
import inspect
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[3] / "projects" / "comfyui"


@pytest.fixture(scope="module")
def nodes():
    """What ComfyUI finds in a folder of ``custom_nodes``: a module under a name of its path."""
    name = str(FOLDER).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, FOLDER / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    assert module.NODE_DISPLAY_NAME_MAPPINGS.keys() == module.NODE_CLASS_MAPPINGS.keys()
    yield module.NODE_CLASS_MAPPINGS
    for loaded in [key for key in sys.modules if key.startswith(name)]:
        del sys.modules[loaded]


def call(node, **inputs):
    """What ComfyUI does with a node: it gives what the node declares, by name."""
    declared = node.INPUT_TYPES()
    defaults = {
        name: kind[1]["default"]
        for group in declared.values()
        for name, kind in group.items()
        if len(kind) > 1 and "default" in kind[1]
    }
    assert inputs.keys() <= {name for group in declared.values() for name in group}
    results = getattr(node(), node.FUNCTION)(**{**defaults, **inputs})
    assert len(results) == len(node.RETURN_TYPES)
    for kind, result in zip(node.RETURN_TYPES, results, strict=True):
        if kind in ("IMAGE", "MASK"):
            assert result.dtype == torch.float32 and result.min() >= 0 and result.max() <= 1
            assert result.ndim == {"IMAGE": 4, "MASK": 3}[kind]
    return results


@pytest.fixture(scope="module")
def model(nodes):
    (found,) = call(nodes["TraceModel"], name="trace-tiny", size=64)
    return found


@pytest.fixture(scope="module")
def images():
    """Two images with a bright square each."""
    found = torch.full((2, 64, 96, 3), 0.2)
    found[0, 16:48, 16:48] = 0.9
    found[1, 8:40, 40:80, 0] = 1.0
    return found


def test_every_node_keeps_the_protocol(nodes):
    for name, node in nodes.items():
        assert isinstance(node.CATEGORY, str), name
        assert len(node.RETURN_NAMES) == len(node.RETURN_TYPES)
        declared = node.INPUT_TYPES()
        assert declared.keys() <= {"required", "optional", "hidden"}
        parameters = inspect.signature(getattr(node, node.FUNCTION)).parameters.keys() - {"self"}
        assert parameters == {name for group in declared.values() for name in group}


def test_models_are_chosen_from_those_that_are_shipped(nodes):
    names = nodes["TraceModel"].INPUT_TYPES()["required"]["name"][0]
    assert names[0] == "trace-tiny-photo" and "trace-tiny" in names
    with pytest.raises(FileNotFoundError, match="no/where"):
        call(nodes["TraceModel"], name="trace-tiny", folder="/no/where")


def test_edges_of_a_batch(nodes, model, images):
    edges, mask = call(nodes["TraceEdges"], model=model, image=images)
    assert edges.shape == images.shape and mask.shape == images.shape[:3]
    assert torch.equal(edges[..., 0], mask) and torch.equal(edges[..., 2], mask)
    alone, _ = call(nodes["TraceEdges"], model=model, image=images[1:])
    assert torch.equal(alone[0], edges[1])
    drawn, _ = call(nodes["TraceEdges"], model=model, image=images, threshold=0.3)
    assert torch.equal(drawn[..., 0], (mask >= 0.3).float())


def test_masks_of_a_batch(nodes, model, images):
    masks, overlays = call(nodes["TraceMasks"], model=model, image=images, top=3)
    assert masks.shape[1:] == images.shape[1:3] and 2 <= len(masks) <= 6
    assert set(masks.unique().tolist()) <= {0.0, 1.0}
    assert overlays.shape == images.shape and not torch.equal(overlays, images)


def test_an_image_without_masks_gives_an_empty_one(nodes, model, images):
    masks, _ = call(nodes["TraceMasks"], model=model, image=images[:1], min_score=1.0)
    assert masks.shape == (1, 64, 96) and masks.max() == 0


def test_transparent_images(nodes, model, images):
    with_alpha = torch.cat([images, torch.ones(2, 64, 96, 1)], dim=3)
    edges, _ = call(nodes["TraceEdges"], model=model, image=with_alpha)
    assert edges.shape == images.shape
