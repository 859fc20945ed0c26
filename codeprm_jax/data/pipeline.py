"""From the TFDS dataset to packed batches.

Examples are tokenised once, packed by a plan, and then addressed by one integer: batch n of a run
is the same whenever it is asked for, so a run resumes at its step without replaying its input.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from codeprm_jax.data.layout import Example, ExampleTooLongError, Layout, StepInput
from codeprm_jax.data.packing import PackingPlan, pack_row, plan_packing
from codeprm_jax.data.tokenizer import Tokenizer, train_tokenizer
from codeprm_jax.files import InputError
from codeprm_jax.traces.dataset import Record
from codeprm_jax.traces.trace import Target

logger = logging.getLogger(__name__)


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
class PackedData:
    """Examples, their labels and the plan that packs them.

    Attributes:
      examples: laid-out traces.
      targets: float32[steps] soft labels, by example.
      reachable: bool[steps], whether some rollout through a step passed everything, by example.
      plan: rows of example indices.
      refused: traces left out because they cannot fit.
    """

    examples: Sequence[Example]
    targets: Sequence[np.ndarray]
    reachable: Sequence[np.ndarray]
    plan: PackingPlan
    refused: int

    @property
    def num_tokens(self) -> int:
        """Tokens of all examples, padding not counted."""
        return sum(e.length for e in self.examples)

    def row(self, index: int) -> dict[str, np.ndarray]:
        """Row `index` of the plan; see `pack_row`."""
        members = self.plan.rows[index]
        return pack_row(
            [self.examples[i] for i in members],
            self.plan.row_tokens,
            [self.targets[i] for i in members],
        )


def pack_records(
    records: Sequence[Record], layout: Layout, row_tokens: int, target: Target
) -> PackedData:
    """Lays out and packs records; one that cannot fit is refused, counted and logged."""
    examples: list[Example] = []
    targets: list[np.ndarray] = []
    reachable: list[np.ndarray] = []
    refused = 0
    for record in records:
        try:
            examples += layout.lay_out([step_input(record)])
        except ExampleTooLongError as error:
            refused += 1
            logger.warning("trace %s refused: %s", record.trace.id, error)
            continue
        steps = record.trace.steps or ()
        targets.append(np.array([s.label(target) for s in steps], np.float32))
        reachable.append(np.array([s.reachable for s in steps], bool))
    if not examples:
        raise InputError(
            f"none of {len(records)} traces fits into {row_tokens} tokens; raise data.row_tokens"
        )
    plan = plan_packing([e.length for e in examples], row_tokens)
    return PackedData(examples, targets, reachable, plan, refused)


class BatchStream:
    """Batches of a run by position.

    Rows are shuffled anew each epoch by the seed; the last batch of an epoch is filled from the
    next one. `batch_rows` rows make a batch.
    """

    def __init__(self, data: PackedData, batch_rows: int, epochs: int, seed: int) -> None:
        import grain

        self._rows = grain.MapDataset.range(len(data.plan.rows)).seed(seed).shuffle()
        self._rows = self._rows.map(data.row).repeat(epochs)
        self.num_batches = max(1, len(self._rows) // batch_rows)
        if len(self._rows) < batch_rows:
            logger.warning("%d rows in all make less than a batch", len(self._rows))
            self._rows = self._rows.repeat(-(-batch_rows // max(1, len(self._rows))))
        self._batches = self._rows.batch(batch_rows, drop_remainder=True)

    def __getitem__(self, position: int) -> Mapping[str, np.ndarray]:
        """Batch number `position`: arrays [batch_rows, row_tokens]."""
        return self._batches[position]

    def starting_at(self, position: int) -> Iterator[Mapping[str, np.ndarray]]:
        """All batches from `position` on, prepared ahead by threads."""
        import grain

        options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=16)
        return iter(self._batches[position : self.num_batches].to_iter_dataset(options))
