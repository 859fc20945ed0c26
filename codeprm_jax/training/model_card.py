"""The README.md of an exported model: what it is, what it learned from, how it is loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codeprm_jax.data.layout import LayoutConfig
from codeprm_jax.training.model_directory import LoadedModel

_TARGETS = {
    "pass_rate": "the mean share of tests that programs written from a prefix of thoughts pass",
    "success_rate": "the share of programs written from a prefix of thoughts that pass every test",
}

_LOAD_HF = """\
```python
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

directory = "."
tokenizer = AutoTokenizer.from_pretrained(directory)
model = AutoModelForTokenClassification.from_pretrained(directory).eval()

TAG = {tag!r}
MARKERS = {markers}


def score(pieces):
    \"\"\"Every piece is tokenised by itself, special tokens in all but markers read as plain text;
    a score is read at each TAG.\"\"\"
    ids, tags = [], []
    for piece in pieces:
        plain = piece not in MARKERS
        ids += tokenizer(piece, add_special_tokens=False, split_special_tokens=plain).input_ids
        if piece == TAG:
            tags.append(len(ids) - 1)
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, tags]
    return logits.softmax(-1)[:, 1].tolist()


print(score([{pieces}]))
```
"""

_LOAD_PEFT = """\
```python
import torch
from peft import PeftModel
from transformers import AutoModelForTokenClassification

base = AutoModelForTokenClassification.from_pretrained({base!r}, num_labels=2)
model = PeftModel.from_pretrained(base, ".").eval()
```

Its logits (l0, l1) at a step tag give the score softmax((l0, l1))[1].
"""


def model_card(loaded: LoadedModel, form: str, facts: Mapping[str, Any], licence: str) -> str:
    """The card's text.

    Args:
      form: "hf", "peft" or "orbax".
      facts: "run", the content of run.json, and "evaluation", of `codeprm evaluate --out`; either
        may be missing.
    """
    base = loaded.directory.base.path if loaded.directory.base else None
    config, layout = loaded.config, loaded.directory.layout
    head = ["---", f"license: {licence}"]
    head += ["pipeline_tag: token-classification"] if form == "hf" else []
    head += ["tags: [process-reward-model, code]", "---"]
    parts = [
        "\n".join(head),
        "# Process reward model for code",
        "Scores every thought of a solution to a programming problem. A score in [0, 1] estimates "
        f"{_TARGETS[loaded.directory.target]}.",
        f"A {config.family} decoder of {config.num_params():,} parameters ({config.num_layers} "
        f"layers, width {config.hidden_size}) with one logit a step"
        f"{_origin(loaded, base)}.",
        "## Data and labels\n\n" + _data(facts),
        "## Metrics\n\n" + _metrics(facts),
        "## Input\n\n" + _input(layout.config, layout.tag),
        "## Loading\n\n" + _loading(layout.config, form, base),
        f"## Licence\n\n{licence}. The licences of the base model and of the training problems "
        "apply beside it.",
    ]
    return "\n\n".join(parts) + "\n"


def _origin(loaded: LoadedModel, base: Path | None) -> str:
    if loaded.step is None:
        return "; how it was trained is not recorded here"
    trained = loaded.directory.model or loaded.config
    adapters = f" by LoRA of rank {trained.lora.rank}" if trained.lora.rank else ""
    merged = ", merged" if adapters and not loaded.config.lora.rank else ""
    began = f"`{base.name}`" if base else "random weights"
    return f"; trained from {began} for {loaded.step} steps{adapters}{merged} with CodePRM-JAX"


def layout_pieces(layout: LayoutConfig) -> list[str]:
    """The parts of the fullest view in their order, for two thoughts; ours as Python literals."""
    thoughts = ["thought_1", "thought_2"]
    tagged = ["thought_1", "TAG", *([repr(layout.separator)] if layout.separator else [])]
    tagged += ["thought_2", "TAG"]
    if layout.fullest == "thoughts":
        parts = [repr(layout.problem), "statement", repr(layout.thoughts), *tagged]
    else:
        listed = [part for thought in thoughts for part in (thought, repr("\n"))]
        parts = [repr(layout.problem), "statement", repr(layout.thoughts), *listed]
        parts += [repr(layout.program), "program"]
        if layout.fullest == "feedback":
            parts += [repr(layout.feedback_marker), "feedback", repr("\n")]
        parts += [repr(layout.review), *tagged]
    return [part for part in parts if part != "''"]


def _data(facts: Mapping[str, Any]) -> str:
    run = facts.get("run")
    if run is None or not {"train", "config", "data"} <= run.keys():
        return "Not recorded: the model was not exported from its run directory."
    train, label, training = (
        run["train"],
        run["config"]["data"]["label"],
        run["config"]["training"],
    )
    lines = [
        f"{train['traces']:,} thought traces ({train['tokens']:,} tokens) whose programs were "
        "executed in a sandbox; the label of a step counts the executions behind it.",
        f"Label: `{label['target']}` ({label['kind']}), loss: `{training['loss']}`, epochs: "
        f"{training['epochs']}. Fingerprint of the dataset: `{run['data']}`.",
    ]
    return "\n\n".join(lines)


def _metrics(facts: Mapping[str, Any]) -> str:
    evaluation = facts.get("evaluation")
    if evaluation is None:
        return "None were handed to the export (`--evaluation`)."
    rows = ["| split | scored by | AUROC | MSE | MAE | R² | ECE |", "|---|---|---|---|---|---|---|"]
    for split, found in evaluation["splits"].items():
        for name, values in (("this model", found["prm"]), *found["baselines"].items()):
            names = ("auroc", "mse", "mae", "r2", "ece")
            figures = " | ".join(f"{values.get(k, math.nan):.3f}" for k in names)
            rows.append(f"| {split} | {name} | {figures} |")
    return "\n".join(rows)


def _input(layout: LayoutConfig, tag: int) -> str:
    shown = " · ".join(f"`{part}`" for part in layout_pieces(layout))
    return (
        f"At most {layout.max_tokens:,} tokens, in this order: {shown}. TAG is "
        f"`{layout.step_tag!r}`, token {tag}; the score of a step is read there. Each part is "
        "tokenised by itself, and special tokens in it are plain text, so that a part cannot "
        "change where another one's tokens are. "
        "`prm_config.json` holds the same."
    )


def _loading(layout: LayoutConfig, form: str, base: Path | None) -> str:
    ours = "With CodePRM-JAX: `codeprm score --model DIRECTORY traces.jsonl --out scores.jsonl`."
    if form == "orbax":
        return ours
    if form == "peft":
        return ours + "\n\nWith PEFT:\n\n" + _LOAD_PEFT.format(base=str(base))
    names = ("statement", "thought_1", "thought_2", "program", "feedback")
    pieces = [repr(p.replace("_", " ") + " …") if p in names else p for p in layout_pieces(layout)]
    markers = ", ".join(
        dict.fromkeys(["TAG", *(p for p in layout_pieces(layout) if p[0] in "'\"")])
    )
    code = _LOAD_HF.format(
        tag=layout.step_tag, pieces=", ".join(pieces), markers="{" + markers + "}"
    )
    return ours + "\n\nWith transformers, and no code of ours:\n\n" + code
