"""Traces scored per second: length buckets and batches, against one padded forward a trace.

    python benchmarks/score.py RUN DATA [traces]

RUN is a training run and DATA its dataset, such as runs/quickstart-bank/train and
runs/quickstart-bank/data. The peer pads every trace to the model's limit and scores it alone, as
the authors' release evaluates. Both are warmed up; the scores must agree to 1e-5.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

import jax
import numpy as np

from codeprm_jax.data.packing import pack_row
from codeprm_jax.data.pipeline import step_input
from codeprm_jax.scoring.engine import StepScorer
from codeprm_jax.sharding import make_mesh
from codeprm_jax.traces.dataset import read_split
from codeprm_jax.training.model_directory import load_model
from codeprm_jax.training.validation import make_forward


def main() -> None:
    run, data = Path(sys.argv[1]), Path(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    records = read_split(data, "test") + read_split(data, "test_seen")
    inputs = [step_input(r) for r in records][:count]
    scorer = StepScorer(run)
    model = load_model(run, make_mesh())
    forward = make_forward(model.config)
    limit = model.directory.layout.config.max_tokens

    def padded() -> list[np.ndarray]:
        scores = []
        for item in inputs:
            (example,) = model.directory.layout.lay_out([item])
            row = pack_row([example], limit)
            arrays = [row[k][None] for k in ("tokens", "segment_ids", "positions")]
            scores.append(np.asarray(forward(model.params, *arrays))[0, example.tag_positions])
        return scores

    expected = padded()
    found = [s.scores for s in scorer.score(inputs)]
    difference = max(float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True))
    ours, theirs = [], []
    for _ in range(5):
        for times, work in ((ours, lambda: scorer.score(inputs)), (theirs, padded)):
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
    mine, peer = statistics.median(ours), statistics.median(theirs)
    line = {
        "benchmark": "score",
        "device": jax.devices()[0].device_kind,
        "traces": len(inputs),
        "parameters": model.config.num_params(),
        "traces_per_second": round(len(inputs) / mine, 1),
        "peer": f"one forward a trace, padded to {limit}",
        "peer_traces_per_second": round(len(inputs) / peer, 1),
        "ratio": round(peer / mine, 2),
        "largest_difference": difference,
        "compiled_shapes": len(scorer.compiled),
    }
    assert difference < 1e-5, line
    print(json.dumps(line))


if __name__ == "__main__":
    main()
