import json

import torch

from tests.tiny_models import tiny_unet
from trace_mm.diffusion import denoiser_identity, identity_difference


def half(dtype):
    """What a model is after it was stored in half precision."""
    unet = tiny_unet()
    for parameter in unet.parameters():
        parameter.data = parameter.data.to(dtype)
    return unet


def test_it_is_the_same_in_any_precision_and_after_json():
    first = json.loads(json.dumps(denoiser_identity(tiny_unet())))
    assert identity_difference(first, denoiser_identity(tiny_unet())) is None
    for dtype in (torch.float16, torch.bfloat16):
        assert identity_difference(first, denoiser_identity(half(dtype))) is None


def test_other_weights_are_another_denoiser():
    other = tiny_unet()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter *= 1.02
    difference = identity_difference(denoiser_identity(tiny_unet()), denoiser_identity(other))
    assert difference is not None and "weights differ" in difference


def test_another_architecture_is_another_denoiser():
    first = denoiser_identity(tiny_unet())
    other = denoiser_identity(tiny_unet(attention_head_dim=4))
    assert identity_difference(first, other) == (
        "config entry attention_head_dim is 2 in one and 4 in the other"
    )
    assert "is not" in str(identity_difference(first, {**first, "class": "FluxTransformer"}))
    fewer = {**first, "weights": first["weights"][1:]}
    assert "weights, the other" in str(identity_difference(first, fewer))


def test_entries_that_later_versions_add_do_not_matter():
    first = denoiser_identity(tiny_unet())
    later = {**first, "config": {**first["config"], "new_option": True}}
    assert identity_difference(first, later) is None
