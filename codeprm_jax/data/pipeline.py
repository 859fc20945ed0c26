"""From the TFDS dataset to packed batches.

Examples are tokenised once, packed by a plan, and then addressed by one integer: batch n of a run
is the same whenever it is asked for, so a run resumes at its step without replaying its input.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np

from codeprm_jax.data.layout import Example, ExampleTooLongError, Layout, StepInput, View
from codeprm_jax.data.packing import pack_row, plan_packing
from codeprm_jax.data.targets import LabelConfig, sibling_groups, sibling_pairs
from codeprm_jax.data.tokenizer import Tokenizer, train_tokenizer
from codeprm_jax.files import InputError, stable_seed
from codeprm_jax.traces.dataset import Record
from codeprm_jax.traces.trace import Trace

logger = logging.getLogger(__name__)

_CHUNK = 4096  # traces whose texts are tokenised together, by all cores


def step_input(record: Record) -> StepInput:
    """What the PRM reads of a labelled trace: no private test, no count."""
    trace = record.trace
    return StepInput(record.statement, trace.thoughts, trace.program, trace.public)


def tokenizer_texts(records: Sequence[Record]) -> Iterator[str]:
    """The texts a tokenizer is trained on, each distinct one once."""
    seen: set[str] = set()
    for record in records:
        trace = record.trace
        failures = trace.public.failures if trace.public else ()
        for text in (
            record.statement,
            trace.program,
            *trace.thoughts,
            *(part for f in failures for part in (f.input, f.expected, f.actual, f.stderr)),
        ):
            if text not in seen:
                seen.add(text)
                yield text


def tokenizer_for(records: Sequence[Record], vocab_size: int) -> Tokenizer:
    """A tokenizer trained on the texts of these records."""
    return train_tokenizer(tokenizer_texts(records), vocab_size)


@dataclass(frozen=True)
class LabelledExamples:
    """Traces laid out in every view that is asked for, with their labels; lists are by trace.

    Attributes:
      ids: of the traces.
      problems: ids of their problems.
      examples: of each view.
      targets, weights: float32[steps]; see `LabelConfig.of`.
      reachable: bool[steps], whether some rollout through a step passed everything.
      siblings: int64[steps], see `sibling_groups`.
      refused: traces left out because they cannot fit.
    """

    ids: Sequence[str]
    problems: Sequence[str]
    examples: Mapping[View, Sequence[Example]]
    targets: Sequence[np.ndarray]
    weights: Sequence[np.ndarray]
    reachable: Sequence[np.ndarray]
    siblings: Sequence[np.ndarray]
    refused: int


def lay_out_records(
    records: Sequence[Record], layout: Layout, labels: LabelConfig
) -> LabelledExamples:
    """All records in all views of the layout; one that cannot fit is refused, counted and logged.

    Raises InputError if none fits.
    """
    kept: list[Trace] = []
    examples: dict[View, list[Example]] = {view: [] for view in layout.config.views}
    for start in range(0, len(records), _CHUNK):
        chunk = records[start : start + _CHUNK]
        laid_out = layout.lay_out_each([step_input(r) for r in chunk], layout.config.views)
        for record, found in zip(chunk, laid_out, strict=True):
            if isinstance(found, ExampleTooLongError):
                logger.warning("trace %s refused: %s", record.trace.id, found)
                continue
            kept.append(record.trace)
            for of_view, example in zip(examples.values(), found, strict=True):
                of_view.append(example)
    if not kept:
        raise InputError(
            f"none of {len(records)} traces fits into {layout.config.max_tokens} tokens; "
            "raise data.row_tokens"
        )
    derived = [labels.of(t.steps or ()) for t in kept]
    return LabelledExamples(
        ids=[t.id for t in kept],
        problems=[t.problem_id for t in kept],
        examples=examples,
        targets=[targets for targets, _ in derived],
        weights=[weights for _, weights in derived],
        reachable=[np.array([s.reachable for s in t.steps or ()], bool) for t in kept],
        siblings=[sibling_groups(t) for t in kept],
        refused=len(records) - len(kept),
    )


class PackedData:
    """Every trace once, each in one view, packed into rows.

    Args:
      data: the traces.
      views: the view of each; or one for all.
      row_tokens: length of a row.
      siblings_together: traces of a problem stand together, so that their steps can be compared.

    Attributes:
      examples: of each trace, in its view.
      plan: rows of trace indices.
    """

    def __init__(
        self,
        data: LabelledExamples,
        views: View | Sequence[View],
        row_tokens: int,
        siblings_together: bool = False,
    ) -> None:
        self.data = data
        self.views = [views] * len(data.ids) if isinstance(views, str) else views
        self.examples = [data.examples[view][i] for i, view in enumerate(self.views)]
        lengths = [e.length for e in self.examples]
        self.plan = plan_packing(lengths, row_tokens, data.problems if siblings_together else None)

    @property
    def num_tokens(self) -> int:
        """Tokens of all examples, padding not counted."""
        return sum(self.plan.lengths)

    def row(self, index: int) -> dict[str, np.ndarray]:
        """Row `index` of the plan; see `pack_row`."""
        members, data = self.plan.rows[index], self.data
        return pack_row(
            [self.examples[i] for i in members],
            self.plan.row_tokens,
            [data.targets[i] for i in members],
            [data.weights[i] for i in members],
        )

    def pairs(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Sibling pairs of a row: int32[pairs, 2] positions in the row, better first; weights."""
        members, data = self.plan.rows[index], self.data
        starts = np.cumsum([0, *(self.examples[i].length for i in members[:-1])])
        tags = [s + self.examples[i].tag_positions for s, i in zip(starts, members, strict=True)]
        steps, weights = sibling_pairs(
            *(
                np.concatenate([found[i] for i in members])
                for found in (data.siblings, data.targets, data.weights)
            )
        )
        return np.concatenate(tags).astype(np.int32)[steps], weights


class BatchStream:
    """Batches of a run by position: one integer, whatever the number of hosts.

    Each epoch draws a view for every trace, packs the traces by a plan, and shuffles the rows; all
    of it follows from the seed. The rows of all epochs stand in one line, of which batch n takes
    the n-th `batch_rows`; what is left at the end and fills no batch is not trained on.

    Args:
      data: the traces, in every view that has a probability.
      views: probability of each view.
      row_tokens, batch_rows, epochs, seed: as in the run's config.
      pairs: whether batches carry sibling pairs.
      local_rows: the rows of a batch that are wanted here; default all.
    """

    def __init__(
        self,
        data: LabelledExamples,
        views: Mapping[View, float],
        row_tokens: int,
        batch_rows: int,
        epochs: int,
        seed: int,
        pairs: bool = False,
        local_rows: Sequence[int] | None = None,
    ) -> None:
        self._local = list(range(batch_rows) if local_rows is None else local_rows)
        self._batch_rows = batch_rows
        self._epochs: list[PackedData] = []
        self._order: list[tuple[int, int]] = []  # (epoch, row of its plan)
        possible = [view for view, probability in views.items() if probability > 0]
        alike = len(possible) == 1  # then one plan serves all epochs
        for epoch in range(epochs):
            if epoch and alike:
                packed = self._epochs[0]
            else:
                shown = possible[0] if alike else _draw_views(data.ids, views, seed, epoch)
                packed = PackedData(data, shown, row_tokens, siblings_together=pairs)
            self._epochs.append(packed)
            self._order += [(epoch, r) for r in _shuffled(len(packed.plan.rows), seed, epoch)]
        if len(self._order) < batch_rows:
            logger.warning("%d rows in all make less than a batch", len(self._order))
            self._order = list(islice(cycle(self._order), batch_rows))
        self.num_batches = len(self._order) // batch_rows
        self.max_pairs = 0
        if pairs:
            distinct = {id(p): p for p in self._epochs}.values()
            most = max(len(p.pairs(r)[1]) for p in distinct for r in range(len(p.plan.rows)))
            if most == 0:
                raise InputError(
                    "the loss 'pairwise' compares steps that continue the same thoughts, and no "
                    "two of these traces do with different labels; collect more rollouts a problem"
                )
            self.max_pairs = most

    @property
    def first_epoch(self) -> PackedData:
        """The traces as the first epoch presents and packs them."""
        return self._epochs[0]

    def __getitem__(self, position: int) -> dict[str, np.ndarray]:
        """Batch number `position`: the local rows of arrays [batch_rows, row_tokens].

        With sibling pairs also pairs int32[rows, max_pairs, 2] and pair_weights float32[rows,
        max_pairs], zero where a row has fewer.
        """
        rows = [self._row(*self._rows_of(position)[index]) for index in self._local]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def starting_at(self, position: int) -> Iterator[dict[str, np.ndarray]]:
        """All batches from `position` on, prepared ahead by threads."""
        import grain

        batches = grain.MapDataset.range(position, self.num_batches).map(self.__getitem__)
        options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=16)
        return iter(batches.to_iter_dataset(options))

    def trace_lengths(self, position: int) -> list[int]:
        """Tokens of each trace of the whole batch, those of other processes too."""
        return [
            self._epochs[epoch].plan.lengths[i]
            for epoch, row in self._rows_of(position)
            for i in self._epochs[epoch].plan.rows[row]
        ]

    def traces(self, position: int) -> list[list[tuple[str, View]]]:
        """(id, view) of the traces of each row of the whole batch."""
        return [
            [(packed.data.ids[i], packed.views[i]) for i in packed.plan.rows[row]]
            for packed, row in ((self._epochs[e], r) for e, r in self._rows_of(position))
        ]

    def _rows_of(self, position: int) -> Sequence[tuple[int, int]]:
        return self._order[position * self._batch_rows : (position + 1) * self._batch_rows]

    def _row(self, epoch: int, index: int) -> dict[str, np.ndarray]:
        packed = self._epochs[epoch]
        row = packed.row(index)
        if self.max_pairs:
            found, weights = packed.pairs(index)
            row["pairs"] = np.zeros((self.max_pairs, 2), np.int32)
            row["pair_weights"] = np.zeros(self.max_pairs, np.float32)
            row["pairs"][: len(found)] = found
            row["pair_weights"][: len(found)] = weights
        return row


def _draw_views(
    ids: Sequence[str], views: Mapping[View, float], seed: int, epoch: int
) -> list[View]:
    """A view for each trace: drawn from its own id, so that other traces change nothing."""
    names, bounds = list(views), np.cumsum(list(views.values()))
    draws = [stable_seed("view", seed, epoch, i) / 2**63 * bounds[-1] for i in ids]
    return [names[i] for i in np.searchsorted(bounds, draws, side="right")]


def _shuffled(count: int, seed: int, epoch: int) -> list[int]:
    """The numbers below `count` in the order of an epoch."""
    import grain

    shuffled = grain.MapDataset.range(count).seed(seed).shuffle()
    return [int(shuffled[epoch * count + i]) for i in range(count)]
