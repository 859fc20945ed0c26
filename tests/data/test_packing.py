from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeprm_jax.data.layout import VIEWS, Example, Layout, LayoutConfig
from codeprm_jax.data.packing import pack_row, plan_packing, unpack_row
from codeprm_jax.data.pipeline import (
    BatchStream,
    LabelledExamples,
    PackedData,
    lay_out_records,
    tokenizer_for,
)
from codeprm_jax.data.targets import LabelConfig
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
    data = lay_out_records(records, layout, LabelConfig())
    assert PackedData(data, "feedback", 2048).plan.utilisation > 0.9


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


def stream_of(data: LabelledExamples, **settings: Any) -> BatchStream:
    known = {"views": {"feedback": 1.0}, "row_tokens": 1024, "batch_rows": 4, "epochs": 2}
    return BatchStream(data, **(known | {"seed": 1} | settings))  # type: ignore[arg-type]


def test_batches_are_addressed_by_one_integer(records: list[Record], layout: Layout) -> None:
    data = lay_out_records(records, layout, LabelConfig("success_rate"))
    stream, again = stream_of(data, batch_rows=3), stream_of(data, batch_rows=3)
    for position, batch in enumerate(again.starting_at(2), 2):
        assert all(np.array_equal(batch[k], stream[position][k]) for k in batch)
    assert position == stream.num_batches - 1
    packed = stream.first_epoch
    rows = len(packed.plan.rows)
    seen = [r.tobytes() for n in range(stream.num_batches) for r in np.asarray(stream[n]["tokens"])]
    first, second = seen[:rows], seen[rows : 2 * rows]
    all_rows = [packed.row(i)["tokens"].tobytes() for i in range(rows)]
    assert sorted(first) == sorted(all_rows)  # each row once an epoch
    assert first[: len(second)] != second  # in another order in the next
    other = stream_of(data, batch_rows=3, seed=2)
    assert not np.array_equal(other[0]["tokens"], stream[0]["tokens"])


@pytest.mark.parametrize("hosts", [2, 4])
def test_the_number_of_hosts_changes_no_batch(
    records: list[Record], layout: Layout, hosts: int
) -> None:
    """Invariant 5: each process makes its rows only; together they are the rows of one process."""
    data = lay_out_records(records, layout, LabelConfig())
    whole = stream_of(data)
    own = [list(range(h * 4 // hosts, (h + 1) * 4 // hosts)) for h in range(hosts)]
    parts = [stream_of(data, local_rows=rows) for rows in own]
    for position in range(whole.num_batches):
        together = [part[position] for part in parts]
        assert {len(p["tokens"]) for p in together} == {4 // hosts}
        for name, expected in whole[position].items():
            np.testing.assert_array_equal(np.concatenate([p[name] for p in together]), expected)
        assert all(p.traces(position) == whole.traces(position) for p in parts)
        tokens = (whole[position]["segment_ids"] > 0).sum()
        assert sum(parts[0].trace_lengths(position)) == tokens


def test_feedback_dropout_draws_a_view_for_each_trace_and_epoch(records: list[Record]) -> None:
    layout = Layout(LayoutConfig(views=VIEWS), tokenizer_for(records, 640))
    data = lay_out_records(records, layout, LabelConfig())
    shares = {"thoughts": 0.5, "program": 0.2, "feedback": 0.3}
    stream = stream_of(data, views=shares, epochs=6, batch_rows=1)
    drawn = [t for n in range(stream.num_batches) for row in stream.traces(n) for t in row]
    counts = Counter(view for _, view in drawn)
    assert len(drawn) == 6 * len(data.ids)  # every trace once an epoch
    for view, share in shares.items():
        assert counts[view] / len(drawn) == pytest.approx(share, abs=0.08)
    by_trace = Counter(drawn)
    assert len(by_trace) > 2 * len(data.ids)  # most are seen in several views
    # What a trace is shown in depends on itself alone, not on what else is in the data.
    fewer = lay_out_records(records[::2], layout, LabelConfig())
    other = stream_of(fewer, views=shares, epochs=6, batch_rows=1)
    again = Counter(t for n in range(other.num_batches) for row in other.traces(n) for t in row)
    assert all(by_trace[key] == count for key, count in again.items())


def test_siblings_stand_together_and_pairs_are_right(records: list[Record], layout: Layout) -> None:
    data = lay_out_records(records, layout, LabelConfig())
    stream, apart = stream_of(data, pairs=True), stream_of(data)
    assert stream.first_epoch.plan.utilisation > apart.first_epoch.plan.utilisation - 0.05
    problem = dict(zip(data.ids, data.problems, strict=True))

    def rows_with_one_problem(s: BatchStream) -> float:
        rows = [row for n in range(s.num_batches) for row in s.traces(n) if len(row) > 1]
        return sum(len({problem[i] for i, _ in row}) == 1 for row in rows) / len(rows)

    assert rows_with_one_problem(stream) > 2 * rows_with_one_problem(apart)
    prefix = {r.trace.id: (r.trace.problem_id, r.trace.thoughts) for r in records}
    found = 0
    for position in range(stream.num_batches):
        batch, rows = stream[position], stream.traces(position)
        assert batch["pairs"].shape == (4, stream.max_pairs, 2)
        for row, members in enumerate(rows):
            # By hand: every tag of the row, with the thoughts before it.
            steps = [prefix[i] for i, _ in members]
            before = [(p, t[:d]) for p, t in steps for d in range(len(t))]
            tags = np.flatnonzero(batch["weights"][row])
            assert len(tags) == len(before)
            count = int((batch["pair_weights"][row] > 0).sum())
            targets = batch["targets"][row]
            expected = {
                (a, b)
                for i, a in enumerate(tags)
                for j, b in enumerate(tags)
                if before[i] == before[j] and targets[a] > targets[b]
            }
            pairs = batch["pairs"][row][:count]
            assert {tuple(p) for p in pairs} == expected
            np.testing.assert_allclose(
                batch["pair_weights"][row][:count], targets[pairs[:, 0]] - targets[pairs[:, 1]]
            )
            found += count
    rows = range(len(apart.first_epoch.plan.rows))
    assert found > 3 * sum(len(apart.first_epoch.pairs(r)[1]) for r in rows)


def test_pairs_need_siblings(records: list[Record], layout: Layout) -> None:
    one = {r.trace.problem_id: r for r in records}.values()
    data = lay_out_records(list(one), layout, LabelConfig())
    with pytest.raises(InputError, match="pairwise"):
        stream_of(data, pairs=True, batch_rows=1)
