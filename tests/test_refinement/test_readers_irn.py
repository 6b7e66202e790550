"""IRN's pickled instances, which are opened only when the user allows it."""

import io
import pickle

import numpy as np
import pytest

from tests import peer_masks
from trace_mm.refinement.readers import BadMaskError, IrnReader, open_masks

IMAGES = peer_masks.some_images()
NAMES = list(IMAGES)


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (type(self.path).touch, (self.path,))


def test_classes_count_from_one(tmp_path):
    reader = open_masks(peer_masks.write_irn(tmp_path, IMAGES), allow_pickle=True)
    assert type(reader) is IrnReader
    assert [record.image for record in reader.records()] == NAMES
    for record, masks in zip(reader.records(), IMAGES.values(), strict=True):
        instances = reader.read(record, masks[0].shape)
        np.testing.assert_array_equal(instances.masks, masks)
        assert instances.labels.tolist() == [15, 2, 20][: len(masks)]
        assert instances.scores[0] == 0
        assert (instances.scores[1:] > 0).all()


def test_one_file(tmp_path):
    peer_masks.write_irn(tmp_path, IMAGES)
    reader = open_masks(tmp_path / f"{NAMES[0]}.npy", allow_pickle=True)
    assert len(reader.read(reader.records()[0], (12, 17))) == 3


@pytest.mark.parametrize("format", ["auto", "irn"])
def test_nothing_is_unpickled_unasked(format, tmp_path):
    trace = tmp_path / "trace"
    (tmp_path / "masks").mkdir()
    np.save(tmp_path / "masks/a.npy", np.array({"mask": Bomb(trace)}, dtype=object))
    for path in (tmp_path / "masks", tmp_path / "masks/a.npy"):
        with pytest.raises(ValueError, match=r"a\.npy.*may run code.*--allow-pickle"):
            open_masks(path, format)
    assert not trace.exists()


def test_only_arrays_are_unpickled(tmp_path):
    trace = tmp_path / "trace"
    np.save(tmp_path / "a.npy", np.array({"mask": Bomb(trace)}, dtype=object))
    reader = open_masks(tmp_path, allow_pickle=True)
    with pytest.raises(BadMaskError, match=r"a\.npy: cannot be unpickled.*no part of an array"):
        reader.read(reader.records()[0], (4, 5))
    assert not trace.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("core", ["core", "_core"])
@pytest.mark.filterwarnings("ignore:numpy.core:DeprecationWarning")
def test_pickles_of_all_versions(protocol, core, tmp_path):
    """Numpy 1 and 2 pickle by other names, and numpy.save has changed its protocol."""
    masks = IMAGES[NAMES[0]]
    content = {"score": np.ones(3), "mask": masks, "class": np.arange(3)}
    array = np.array(content, dtype=object)
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "|O", "fortran_order": False, "shape": ()}
    )
    data = pickle.dumps(array, protocol=protocol)
    if protocol < 4:  # later ones write lengths before names
        data = data.replace(b"numpy._core.", f"numpy.{core}.".encode())
    (tmp_path / "a.npy").write_bytes(stream.getvalue() + data)
    reader = open_masks(tmp_path, allow_pickle=True)
    instances = reader.read(reader.records()[0], (12, 17))
    np.testing.assert_array_equal(instances.masks, masks)
    assert instances.labels.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask": np.ones((3, 17, 12), dtype=bool)}, r"'mask' is \(3, 17, 12\).*\(12, 17\)"),
        ({"mask": np.ones(3)}, r"'mask' is \(3,\)"),
        ({"mask": np.float64(1)}, r"'mask' must be an array of numbers"),
        ({"mask": np.array(["a"])}, r"'mask' must be an array of numbers"),
        ({"score": [1, 1, 1]}, r"'score' must be an array of numbers"),
        ({"score": np.ones(2)}, r"there are 3 masks, but 'score' is \(2,\)"),
        ({"class": np.ones((3, 1))}, r"there are 3 masks, but .*'class' \(3, 1\)"),
        ({"class": None}, r"'class' must be an array of numbers"),
        ({"score": np.array([1, np.nan, 1])}, r"mask 1: its score is nan"),
        ({"class": np.array([1, 0.5, 1])}, r"mask 1: its class is 0\.5"),
        ({"class": np.array([1, -1, 1])}, r"mask 1: its class is -1"),
    ],
)
def test_bad_content_is_named(changes, message, tmp_path):
    content = {"score": np.ones(3), "mask": IMAGES[NAMES[0]], "class": np.arange(3)}
    np.save(tmp_path / "a.npy", content | changes)
    reader = open_masks(tmp_path, allow_pickle=True)
    with pytest.raises(BadMaskError, match=rf"a\.npy: {message}"):
        reader.read(reader.records()[0], (12, 17))
    if "mask 1" in message:
        instances = reader.read(reader.records()[0], (12, 17), on_bad=lambda error: None)
        np.testing.assert_array_equal(instances.masks, IMAGES[NAMES[0]][[0, 2]])


def test_other_files(tmp_path):
    np.save(tmp_path / "plain.npy", np.ones((3, 12, 17)))
    np.save(tmp_path / "list.npy", np.array([{}, {}], dtype=object))
    (tmp_path / "torn.npy").write_bytes((tmp_path / "list.npy").read_bytes()[:-5])
    (tmp_path / "empty.npy").write_bytes(b"")
    reader = open_masks(tmp_path, allow_pickle=True)
    assert len(reader.records()) == 4
    for record in reader.records():
        with pytest.raises(BadMaskError, match=rf"{record.image}\.npy"):
            reader.read(record, (12, 17))
