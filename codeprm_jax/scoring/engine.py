"""The step scorer: all steps of a trace in one forward pass, shared beginnings computed once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from codeprm_jax.data.layout import Example, ExampleTooLongError, StepInput, View
from codeprm_jax.files import InputError
from codeprm_jax.model import decoder
from codeprm_jax.model.config import Dtype, Implementation
from codeprm_jax.scoring.row_scores import RowScores
from codeprm_jax.scoring.scorer import Scorer, StepScores
from codeprm_jax.scoring.statistics import ScoringStatistics
from codeprm_jax.scoring.tree_scores import TreeScores
from codeprm_jax.sharding import make_mesh
from codeprm_jax.training.model_directory import LoadedModel, load_model

EXAMPLES_AT_ONCE = 4096  # traces whose rows are planned together
NOT_FINITE = "the model's scores of this trace are not finite: its training has diverged"


class StepScorer(Scorer):
    """Scores traces with a trained PRM, each distinct beginning of them once.

    All steps of a trace are scored in one forward pass. Traces of one problem share the problem and
    their first thoughts: these are computed once a batch, and their keys and values are kept for
    later calls. A score depends on the tokens up to its step tag alone, so it is remembered too,
    and what is asked again is not computed. Scores equal those of the plain forward to 1e-5 in
    float32; docs/scoring.md has the bound in bfloat16, the measurements and the limits.

    A scorer is used by one thread at a time; `scoring.batcher` shares one among many.

    Args:
      path: run or model directory, see `training.model_directory.chosen_checkpoint`.
      mesh: devices; default all, as replicas.
      tokens_per_batch: tokens in a full batch.
      attention: implementation of rows without reuse, see `model.attention`; with reuse it is
        `model.attention_tree`, in plain JAX.
      view: what the model reads of a trace; default the fullest that it was trained to read.
      reuse: share prefixes, keep keys and values, and remember scores.
      packed: without reuse, several traces a row; else one, in rows of a few lengths.
      cache_mib: of each device's memory for keys and values.
      dtype: in which it computes; default the model's own, float32 on a CPU.

    Raises:
      InputError: `path` holds no model, or one that was not trained to read this view, or the
        attention does not do what it needs here.
    """

    def __init__(
        self,
        path: Path | str,
        mesh: Mesh | None = None,
        tokens_per_batch: int = 4096,
        attention: Implementation = "auto",
        view: View | None = None,
        reuse: bool = True,
        packed: bool = True,
        cache_mib: int = 512,
        dtype: Dtype | None = None,
    ) -> None:
        if tokens_per_batch < 1 or cache_mib < 0:
            raise InputError("tokens_per_batch >= 1 and cache_mib >= 0 are needed")
        self.mesh = mesh or make_mesh()
        model = load_model(path, self.mesh, dtype)
        self.layout, self.target = model.directory.layout, model.directory.target
        self.step = model.step
        self.view = view or self.layout.config.fullest
        self.views = self.layout.config.views
        self.layout.lay_out([], self.view)  # refuses a view that it was not trained to read
        digest = fingerprint(model)
        if self.view != self.layout.config.fullest:
            digest += f", view {self.view}"
        self.fingerprint = digest if self.step is None else f"step {self.step}, {digest}"
        config = replace(model.config, attention=attention)
        self.statistics = ScoringStatistics()
        self.max_tokens = limit = self.layout.config.max_tokens
        parts = (config, model.params, self.mesh)
        self._scores: TreeScores | RowScores
        if reuse:
            if attention not in ("auto", "blockwise"):
                raise InputError(
                    f"attention {attention!r} cannot share prefixes: choose 'auto', or reuse=False"
                )
            self._scores = TreeScores(
                *parts, limit, tokens_per_batch, cache_mib << 20, self.statistics
            )
        else:
            self._scores = RowScores(*parts, limit, tokens_per_batch, packed, self.statistics)

    @property
    def compiled(self) -> int:
        """Programs compiled so far."""
        return len(self._scores.compiled)

    def warm_up(self) -> int:
        """Compiles every program that a call can need; returns how many there are."""
        self._scores.warm_up()
        self.statistics.compiled = self.compiled
        return self.compiled

    def forget(self) -> None:
        """Empties cache and memo; programs stay compiled."""
        self._scores.forget()

    def score_each(
        self, inputs: Sequence[StepInput], view: View | None = None
    ) -> list[StepScores | InputError]:
        """As `score`, but an input that cannot be scored gives its error and spares the others."""
        laid_out = self.lay_out_each(inputs, view)
        scored = iter(self.score_examples([e for e in laid_out if isinstance(e, Example)]))
        return [next(scored) if isinstance(e, Example) else e for e in laid_out]

    def lay_out_each(
        self, inputs: Sequence[StepInput], view: View | None = None
    ) -> list[Example | ExampleTooLongError]:
        """What `score_examples` reads of each input. Raises InputError on an untrained view."""
        found = self.layout.lay_out_each(inputs, (view or self.view,))
        return [f if isinstance(f, ExampleTooLongError) else f[0] for f in found]

    def score_examples(self, examples: Sequence[Example]) -> list[StepScores | InputError]:
        """`score_each` of inputs that are laid out already."""
        results: list[StepScores | InputError] = []
        for begin in range(0, len(examples), EXAMPLES_AT_ONCE):
            part = examples[begin : begin + EXAMPLES_AT_ONCE]
            for example, scores in zip(part, self._scores(part), strict=True):
                if np.isfinite(scores).all():
                    results.append(StepScores(scores, example.length))
                else:
                    results.append(InputError(NOT_FINITE))
        self.statistics.traces += len(examples)
        self.statistics.tokens += sum(e.length for e in examples)
        self.statistics.compiled = self.compiled
        return results


def fingerprint(model: LoadedModel) -> str:
    """Tells a model from others: by its layout, its head, and the corners of its other parameters.

    Any training changes some of them. Independent of the mesh.
    """

    leaves = jax.tree.leaves

    @jax.jit
    def ends(params: decoder.Params) -> list[jax.Array]:
        first, last = ([leaf[(at,) * (leaf.ndim - 1)] for leaf in leaves(params)] for at in (0, -1))
        corners = [jnp.concatenate([f[:16], x[-16:]]) for f, x in zip(first, last, strict=True)]
        return [*(leaf.ravel() for leaf in leaves(params["score"])), *corners]

    directory = model.directory
    said = [directory.layout.config.to_json(), directory.target, directory.tokens]
    digest = hashlib.blake2b(json.dumps(said).encode(), digest_size=8)
    with jax.set_mesh(leaves(model.params)[0].sharding.mesh):
        for values in ends(model.params):
            digest.update(np.asarray(values, np.float32).tobytes())
    return digest.hexdigest()
