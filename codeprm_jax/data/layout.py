"""What the PRM reads: text to tokens with step positions known by construction.

Three views of a trace, by what is known when it is scored:

- "feedback": problem · all thoughts · program · feedback · the thoughts again, each with its tag;
- "program": the same without the feedback;
- "thoughts": problem · thoughts, each closed by a step tag.

The score of a step is read at its tag. Every piece is tokenised by itself and the pieces' ids are
joined, so the position of a tag is counted, never searched for: a program that contains the tag's
text changes nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal, get_args

import numpy as np

from codeprm_jax.data.tokenizer import Tokenizer
from codeprm_jax.files import InputError
from codeprm_jax.json_dataclass import read_dataclass
from codeprm_jax.traces.feedback_text import render_failure, render_verdicts
from codeprm_jax.traces.trace import Feedback

MAX_FAILURE_TOKENS = 512  # of each failing test in the feedback, as in the paper
MIN_PIECE_TOKENS = 32  # what truncation leaves of feedback, program and statement
REMEMBERED_TOKENS = 500_000  # of texts; twice that at most, which takes some 40 MB

# What a PRM reads beside problem and thoughts, the least first.
View = Literal["thoughts", "program", "feedback"]
VIEWS: tuple[View, ...] = get_args(View)

# The release's tag: one token, id 76325, in the Qwen2.5 vocabulary.
QWEN_STEP_TAG = " \n\n\n\n\n"


class ExampleTooLongError(InputError):
    """An example whose thoughts and tags alone exceed the limit: refused, and counted.

    Attributes:
      tokens: that it needs at least.
      limit: that it may have.
    """

    def __init__(self, message: str, tokens: int = 0, limit: int = 0) -> None:
        super().__init__(message)
        self.tokens, self.limit = tokens, limit


@dataclass(frozen=True)
class StepInput:
    """What is scored: a trace as the PRM may see it.

    `program` and `feedback` are read only in the views that show them.
    """

    statement: str
    thoughts: tuple[str, ...]
    program: str = ""
    feedback: Feedback | None = None


@dataclass(frozen=True)
class Example:
    """What the PRM reads of a trace.

    Attributes:
      tokens: int32[length].
      tag_positions: int32[steps], where each step's score is read.
      cuts: ends of the pieces that other traces may begin with too: the problem and, one by one,
        the thoughts. Ascending; whatever is behind the last belongs to this trace alone.
    """

    tokens: np.ndarray
    tag_positions: np.ndarray
    cuts: tuple[int, ...] = ()

    @property
    def length(self) -> int:
        """Number of tokens."""
        return len(self.tokens)


@dataclass(frozen=True)
class LayoutConfig:
    """Saved with a model as part of prm_config.json, so that a scorer never guesses.

    Attributes:
      views: what the model was trained to read, the least first; see the module.
      max_tokens: of one example; the middle of feedback, program and statement gives way to it.
      step_tag: text of the tag, or its entry in the vocabulary; must be one token.
      problem, thoughts, program, feedback_marker, review: text before each part.
      separator: text between a tag and the next step.
    """

    views: tuple[View, ...] = ("feedback",)
    max_tokens: int = 1024
    step_tag: str = "<|step|>"
    problem: str = "<|problem|>"
    thoughts: str = "<|thoughts|>"
    program: str = "<|program|>"
    feedback_marker: str = "<|feedback|>"
    review: str = "<|review|>"
    separator: str = ""

    def __post_init__(self) -> None:
        if not self.views or set(self.views) - set(VIEWS):
            raise InputError(f"layout: views {self.views}: name some of {', '.join(VIEWS)}")
        object.__setattr__(self, "views", tuple(v for v in VIEWS if v in self.views))
        if self.max_tokens < 1:
            raise InputError(f"layout: max_tokens must be positive: {self.max_tokens}")

    @property
    def fullest(self) -> View:
        """The view that shows most."""
        return self.views[-1]

    @classmethod
    def for_checkpoint(
        cls,
        views: tuple[View, ...] = ("feedback",),
        max_tokens: int = 3500,
        step_tag: str = QWEN_STEP_TAG,
    ) -> LayoutConfig:
        """The layout for a pretrained vocabulary: parts are marked in words."""
        return cls(
            views=views,
            max_tokens=max_tokens,
            step_tag=step_tag,
            problem="Problem:\n",
            thoughts="\nThoughts:\n",
            program="\nProgram:\n",
            feedback_marker="\nFeedback:\n",
            review="\nReview of the thoughts:\n",
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LayoutConfig:
        """Reads the JSON form. Raises InputError on fields that are unknown or of another kind."""
        return read_dataclass(cls, data, "layout")

    def to_json(self) -> dict[str, Any]:
        """The JSON form."""
        return dataclasses.asdict(self)


# How other projects lay the input of their PRMs out, from their documentation, and the tokens
# (good, bad) of the language-model head where the score is read from that.
Style = Literal["trl", "qwen-math-prm", "math-shepherd", "codeprm-release"]
_BARE = LayoutConfig(views=("thoughts",), problem="", thoughts="")
FOREIGN_LAYOUTS: Mapping[Style, tuple[LayoutConfig, tuple[str, str] | None]] = {
    # Stepwise supervision: the beginning-of-sequence token where the tokenizer has one, the prompt,
    # and each step closed by the separator, whose label is the step's.
    "trl": (dataclasses.replace(_BARE, step_tag="\n"), None),
    # Qwen2.5-Math-PRM: a chat whose assistant's steps are closed by one special token.
    "qwen-math-prm": (
        dataclasses.replace(
            _BARE,
            problem="<|im_start|>system\nPlease reason step by step, and put your final answer "
            "within \\boxed{}.<|im_end|>\n<|im_start|>user\n",
            thoughts="<|im_end|>\n<|im_start|>assistant\n",
            step_tag="<extra_0>",
        ),
        None,
    ),
    # Math-Shepherd: one line a step, closed by a Cyrillic tag; two tokens in a Llama vocabulary.
    "math-shepherd": (
        dataclasses.replace(_BARE, problem="<s>", thoughts=" ", step_tag="▁ки", separator="\n"),
        ("▁+", "▁-"),
    ),
    # The authors' release with feedback: problem, thoughts, program, feedback, tagged thoughts.
    "codeprm-release": (
        dataclasses.replace(
            _BARE,
            views=("feedback",),
            thoughts=" \n",
            program=" \n",
            feedback_marker=" \n",
            review=" \n",
            step_tag=QWEN_STEP_TAG,
        ),
        None,
    ),
}


class Layout:
    """Turns StepInputs into Examples.

    Raises:
      InputError: the step tag is not one token of this tokenizer.
    """

    def __init__(self, config: LayoutConfig, tokenizer: Tokenizer) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.tag = tokenizer.token_id(config.step_tag, "step tag")
        self._markers = {
            name: tokenizer.encode_marker(text) if (text := getattr(config, name)) else []
            for name in ("problem", "thoughts", "program", "feedback_marker", "review")
        }
        self._separator = tokenizer.encode_marker(config.separator) if config.separator else []
        # Encoded on its own, so that its ids do not depend on what stands around it.
        self._newline = tokenizer.encode(["\n"])[0]
        self._ellipsis = tokenizer.encode([" … "])[0]
        self.forget()

    def lay_out(self, inputs: Sequence[StepInput], view: View | None = None) -> list[Example]:
        """The examples of `inputs`, in their order.

        Args:
          view: what is shown; default the fullest that the model was trained to read.

        Raises:
          InputError: the model was not trained to read this view.
          ExampleTooLongError: one does not fit; the message gives its length and the limit.
        """
        examples = []
        for found in self.lay_out_each(inputs, (view or self.config.fullest,)):
            if isinstance(found, ExampleTooLongError):
                raise found
            examples += found
        return examples

    def lay_out_each(
        self, inputs: Sequence[StepInput], views: Sequence[View]
    ) -> list[list[Example] | ExampleTooLongError]:
        """The examples of each input, one a view, or why one of them does not fit.

        Every distinct text is tokenised once, whatever it occurs in, and remembered for later
        calls: a search gives the same statements and thoughts again and again. Those of an input
        whose thoughts have too many bytes for the limit are not tokenised at all.

        Raises InputError if the model was not trained to read a view.
        """
        if unknown := set(views) - set(self.config.views):
            raise InputError(
                f"the model was not trained to read the view {', '.join(map(repr, unknown))}; it "
                f"reads {', '.join(self.config.views)}"
            )
        fewest = [self._fewest_tokens(item) for item in inputs]
        limit = self.config.max_tokens
        readable = [item for item, tokens in zip(inputs, fewest, strict=True) if tokens <= limit]
        texts = dict.fromkeys(text for item in readable for v in views for text in _texts(item, v))
        ids = self._encode(texts)
        return [
            self._lay_out_one(item, views, ids) if tokens <= limit else self._too_long(tokens)
            for item, tokens in zip(inputs, fewest, strict=True)
        ]

    def forget(self) -> None:
        """Forgets the ids of the texts that it has seen; results are the same, only slower."""
        self._remembered: tuple[dict[str, list[int]], dict[str, list[int]]] = ({}, {})
        self._room = REMEMBERED_TOKENS

    def _encode(self, texts: Collection[str]) -> dict[str, list[int]]:
        """Ids of each text. What is not asked for while a generation fills is forgotten.

        Needs no lock: threads that get in each other's way tokenise a text twice at worst.
        """
        newer, older = self._remembered
        ids = {t: known[t] for known in (older, newer) for t in texts if t in known}
        unknown = [t for t in texts if t not in ids]
        ids |= zip(unknown, self.tokenizer.encode(unknown), strict=True)
        kept = {t: i for t, i in ids.items() if t not in newer}
        size = sum(map(len, kept.values()))
        if size > REMEMBERED_TOKENS:  # a whole data set, which comes once
            return ids
        if size > self._room:
            self._remembered, self._room = (dict[str, list[int]](), newer), REMEMBERED_TOKENS
        self._remembered[0].update(kept)
        self._room -= size
        return ids

    def _lay_out_one(
        self, item: StepInput, views: Sequence[View], ids: Mapping[str, list[int]]
    ) -> list[Example] | ExampleTooLongError:
        try:
            return [self._assemble(item, view, ids) for view in views]
        except ExampleTooLongError as error:
            return error

    def _assemble(self, item: StepInput, view: View, ids: Mapping[str, list[int]]) -> Example:
        mark, markers = self._markers, [self._markers["problem"], self._markers["thoughts"]]
        pieces = [ids[item.statement]]  # what may be shortened: statement, program, feedback
        thoughts = [ids[thought] for thought in item.thoughts]
        listed = [t + self._newline for t in thoughts]
        tagged = [[*t, self.tag] for t in thoughts]
        if view != "thoughts":
            pieces.append(ids[item.program])
            markers += [*listed, mark["program"], mark["review"]]
        if view == "feedback":
            failures = [self._cut(ids[t], MAX_FAILURE_TOKENS) for t in _feedback_texts(item)]
            pieces.append([i for failure in failures for i in failure + self._newline])
            markers.append(mark["feedback_marker"])
        fixed = sum(map(len, tagged)) + sum(map(len, markers))
        fixed += max(0, len(thoughts) - 1) * len(self._separator)
        pieces = self._fit(pieces, self.config.max_tokens - fixed, fixed)

        tokens = mark["problem"] + pieces[0] + mark["thoughts"]
        ends = [len(tokens), *map(len, listed if view != "thoughts" else [])]
        if view != "thoughts":
            tokens += [i for t in listed for i in t] + mark["program"] + pieces[1]
            tokens += mark["feedback_marker"] + pieces[2] if view == "feedback" else []
            tokens += mark["review"]
        positions = []
        for number, thought in enumerate(tagged):
            tokens = tokens + (self._separator if number else []) + thought
            positions.append(len(tokens) - 1)
        cuts = accumulate(ends) if view != "thoughts" else [*ends, *(p + 1 for p in positions)]
        return Example(np.array(tokens, np.int32), np.array(positions, np.int32), tuple(cuts))

    def _fit(self, pieces: list[list[int]], room: int, fixed: int) -> list[list[int]]:
        """Cuts the last piece (feedback) first, then the program, then the statement."""
        pieces = list(pieces)
        for index in reversed(range(len(pieces))):
            excess = sum(map(len, pieces)) - room
            if excess > 0:
                keep = max(len(pieces[index]) - excess, min(MIN_PIECE_TOKENS, len(pieces[index])))
                pieces[index] = self._cut(pieces[index], keep)
        if sum(map(len, pieces)) > room:
            raise self._too_long(fixed + sum(map(len, pieces)))
        return pieces

    def _fewest_tokens(self, item: StepInput) -> int:
        """What thoughts and tags need at least, by their bytes and number."""
        return self.tokenizer.fewest_tokens(*item.thoughts) + len(item.thoughts)

    def _too_long(self, needed: int) -> ExampleTooLongError:
        return ExampleTooLongError(
            f"an example needs {needed} tokens or more for its thoughts and step tags and what "
            f"must stand beside them, the limit is {self.config.max_tokens}; "
            "train with a larger data.row_tokens or shorten the thoughts",
            needed,
            self.config.max_tokens,
        )

    def _cut(self, ids: list[int], limit: int) -> list[int]:
        """At most `limit` ids: the start and the end, an ellipsis for the middle."""
        if len(ids) <= limit:
            return ids
        kept = max(limit - len(self._ellipsis), 0)
        head = kept - kept // 2
        tail = ids[len(ids) - kept // 2 :] if kept // 2 else []
        return (ids[:head] + self._ellipsis + tail)[:limit]


def _texts(item: StepInput, view: View) -> list[str]:
    texts = [item.statement, *item.thoughts]
    texts += [item.program] if view != "thoughts" else []
    return texts + (_feedback_texts(item) if view == "feedback" else [])


def _feedback_texts(item: StepInput) -> list[str]:
    failures = item.feedback.failures if item.feedback else ()
    return [render_verdicts(item.feedback), *map(render_failure, failures)]
