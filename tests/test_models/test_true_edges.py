"""The annotation's edges as a prediction."""

import numpy as np
import pytest
import torch

from trace_mm.models import TrueEdges
from trace_mm.structures import EdgeDataSample


def test_an_edge_is_what_any_annotator_has_drawn():
    drawn = np.zeros((2, 3, 4), dtype=bool)
    drawn[0, 1], drawn[1, :, 2] = True, True
    sample = EdgeDataSample(gt_edges=drawn)
    (result,) = TrueEdges()([torch.zeros(3, 3, 4)], [sample])
    assert result is sample
    assert result.pred_edges.dtype == torch.float32
    expected = [[0, 0, 1, 0], [1, 1, 1, 1], [0, 0, 1, 0]]
    np.testing.assert_array_equal(result.pred_edges, expected)


def test_errors():
    model, inputs = TrueEdges(), [torch.zeros(3, 3, 4)]
    with pytest.raises(ValueError, match="image 7 has no true edges"):
        model(inputs, [EdgeDataSample(metainfo={"image_id": 7})])
    with pytest.raises(ValueError, match="needs samples"):
        model(inputs)
    with pytest.raises(ValueError, match="only predict"):
        model(inputs, [EdgeDataSample(gt_edges=np.zeros((1, 3, 4), dtype=bool))], mode="loss")
