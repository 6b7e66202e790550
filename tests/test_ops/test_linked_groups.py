import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trace_mm.ops.linked_groups import linked_groups

links = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12)


@given(links)
def test_groups_are_what_links_connect_in_the_order_of_their_first_members(pairs):
    first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    expected = list(range(10))
    for _ in range(10):  # the lowest number spreads along the links
        for one, other in pairs:
            expected[one] = expected[other] = min(expected[one], expected[other])
    numbers = {lowest: number for number, lowest in enumerate(sorted(set(expected)))}
    assert linked_groups(10, first, second).tolist() == [numbers[lowest] for lowest in expected]
