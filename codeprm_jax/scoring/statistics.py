"""Counters of a step scorer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ScoringStatistics:
    """What a scorer has done since it was made.

    Attributes:
      traces, tokens: scored, as they were asked for.
      computed_tokens: that went through the model, without padding.
      padded_tokens: that went through it in all.
      reused_tokens: cached tokens that rows read, each counted once a row.
      remembered_traces: whose scores were all known.
      batches: forward passes.
      cached_tokens: in the cache now.
      compiled: programs compiled.
    """

    traces: int = 0
    tokens: int = 0
    computed_tokens: int = 0
    padded_tokens: int = 0
    reused_tokens: int = 0
    remembered_traces: int = 0
    batches: int = 0
    cached_tokens: int = 0
    compiled: int = 0
