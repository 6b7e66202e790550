"""Things are found by their texts, whatever their hashes."""

import os
import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from trace_mm.files.file_names import FileIndex
from trace_mm.files.hash_index import HashIndex

ROOT = Path(__file__).parents[2]


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


def test_another_process_finds_what_this_one_does():
    index, files = HashIndex(100, str), FileIndex(["a/1.png", "b/2.png"])
    assert files.find("2.png") == [1]  # whose table is made by now
    code = (
        "import pickle, sys; index, files = pickle.load(sys.stdin.buffer);"
        "print(list(index.find('42')), files.find('2.png'))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(
        command, input=pickle.dumps((index, files)), env=environment, cwd=ROOT, capture_output=True
    )
    assert result.stdout.decode().split("\n")[0] == "[42] [1]"
