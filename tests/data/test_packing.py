from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeprm_jax.data.layout import Example, Layout
from codeprm_jax.data.packing import pack_row, plan_packing, unpack_row
from codeprm_jax.data.pipeline import BatchStream, pack_records
from codeprm_jax.files import InputError
from codeprm_jax.traces.dataset import Record

LENGTHS = st.lists(st.integers(1, 100), max_size=60)


@given(lengths=LENGTHS)
def test_every_example_stands_in_exactly_one_row_that_holds_it(lengths: list[int]) -> None:
    plan = plan_packing(lengths, 100)
    assert sorted(i for row in plan.rows for i in row) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in row) <= 100 for row in plan.rows)
    assert plan == plan_packing(lengths, 100)
    # No two rows could be one: best fit leaves at most one row half empty.
    fill = sorted(sum(lengths[i] for i in row) for row in plan.rows)
    assert len(fill) < 2 or fill[0] + fill[1] > 100


def test_too_long_an_example_is_an_error() -> None:
    with pytest.raises(InputError, match="example 1 has 101 tokens"):
        plan_packing([5, 101], 100)


def test_utilisation_on_real_lengths(records: list[Record], layout: Layout) -> None:
    data = pack_records(records, layout, 2048, "pass_rate")
    assert data.plan.utilisation > 0.9


def test_rows_hold_targets_and_weights_at_tags_only() -> None:
    examples = [
        Example(np.arange(1, 6, dtype=np.int32), np.array([2, 4], np.int32)),
        Example(np.arange(1, 4, dtype=np.int32), np.array([2], np.int32)),
    ]
    targets = [np.array([0.25, 0.5], np.float32), np.array([1.0], np.float32)]
    row = pack_row(examples, 10, targets)
    assert row["tokens"].tolist() == [1, 2, 3, 4, 5, 1, 2, 3, 0, 0]
    assert row["segment_ids"].tolist() == [1, 1, 1, 1, 1, 2, 2, 2, 0, 0]
    assert row["positions"].tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 0, 0]
    assert row["targets"].tolist() == [0, 0, 0.25, 0, 0.5, 0, 0, 1, 0, 0]
    assert row["weights"].tolist() == [0, 0, 1, 0, 1, 0, 0, 1, 0, 0]
    assert [v.tolist() for v in unpack_row(row["targets"], examples)] == [[0.25, 0.5], [1.0]]


def test_batches_are_addressed_by_one_integer(records: list[Record], layout: Layout) -> None:
    data = pack_records(records, layout, 1024, "success_rate")
    stream = BatchStream(data, batch_rows=3, epochs=2, seed=1)
    again = BatchStream(data, batch_rows=3, epochs=2, seed=1)
    for position, batch in enumerate(again.starting_at(2), 2):
        assert all(np.array_equal(batch[k], stream[position][k]) for k in batch)
    assert position == stream.num_batches - 1
    rows = len(data.plan.rows)
    seen = [r.tobytes() for n in range(stream.num_batches) for r in np.asarray(stream[n]["tokens"])]
    first, second = seen[:rows], seen[rows : 2 * rows]
    all_rows = [data.row(i)["tokens"].tobytes() for i in range(rows)]
    assert sorted(first) == sorted(all_rows)  # each row once an epoch
    assert first[: len(second)] != second  # in another order in the next
    other = BatchStream(data, batch_rows=3, epochs=2, seed=2)
    assert not np.array_equal(other[0]["tokens"], stream[0]["tokens"])
