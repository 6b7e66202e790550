from trace_mm.apis.batches import batched


def test_batches_hold_all_items():
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batched([], 3)) == []
