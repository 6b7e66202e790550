"""Things are found by their texts, whatever their hashes."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from trace_mm.files.hash_index import HashIndex


class SameHash(str):
    """A text that is like others for a hash table."""

    def __hash__(self):
        return len(self)


@given(st.lists(st.text(max_size=2)), st.text(max_size=2), st.sampled_from([str, SameHash]))
def test_things_are_found_by_their_texts(texts, wanted, kind):
    texts = list(map(kind, texts))
    index = HashIndex(len(texts), texts.__getitem__)
    for text in (kind(wanted), *texts):
        expected = [number for number, other in enumerate(texts) if other == text]
        assert list(index.find(text)) == expected


def test_an_index_takes_few_bytes():
    tracemalloc.start()
    index = HashIndex(10000, str)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 20 * 10000
    assert list(index.find("4321")) == [4321]
