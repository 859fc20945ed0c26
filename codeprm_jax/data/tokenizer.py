"""The tokenizer: one trained on the training split, or a checkpoint's own.

Both are read and written in the Hugging Face form. Text from problems, thoughts and programs is
always encoded as plain text: a program that spells out a special token cannot produce its id.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import tokenizers

from codeprm_jax.files import InputError, read_json, stable_seed

# Its tokenizers are wanted here, not its models: no advice to install PyTorch.
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")

SPECIAL_TOKENS = (
    "<|pad|>",
    "<|step|>",
    "<|problem|>",
    "<|thoughts|>",
    "<|program|>",
    "<|feedback|>",
    "<|review|>",
    "<|endoftext|>",  # transformers' Qwen2Tokenizer would add it beyond the embedding table
)

# Of a tokenizer's folder, in any of its forms.
FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "tokenizer.model", "chat_template.jinja", "chat_template.json"),
)
VOCABULARIES = ("tokenizer.json", "vocab.json", "tokenizer.model")


class Tokenizer:
    """Text to ids.

    Args:
      backend: a fast tokenizer; the object is copied, so that the caller's keeps its settings.
      source: the folder that it was read from; `save` copies its files, and with them what only
        other programs need, such as a chat template.
    """

    def __init__(self, backend: tokenizers.Tokenizer, source: Path | None = None) -> None:
        self.source = source
        self.backend = tokenizers.Tokenizer.from_str(backend.to_str())
        self.backend.no_truncation()
        self.backend.no_padding()
        self._plain = tokenizers.Tokenizer.from_str(self.backend.to_str())
        self._plain.encode_special_tokens = True

    @functools.cached_property
    def vocab_size(self) -> int:
        """One more than the largest id."""
        return max(self.backend.get_vocab(with_added_tokens=True).values()) + 1

    @functools.cached_property
    def _token_bytes(self) -> int:
        """Bytes of text that one token can stand for; 0 if an unknown word of any length is one."""
        model = json.loads(self.backend.to_str())["model"]
        unknown = model.get("unk_token") is not None or model.get("unk_id") is not None
        if unknown and not model.get("byte_fallback"):
            return 0
        return max(len(t.encode()) for t in self.backend.get_vocab(with_added_tokens=True))

    def fewest_tokens(self, *texts: str) -> int:
        """The texts have this many tokens or more, by their bytes alone; nothing is tokenised."""
        if not self._token_bytes:
            return 0
        return sum(len(t.encode("utf-8", "surrogatepass")) for t in texts) // self._token_bytes

    @property
    def fingerprint(self) -> int:
        """Tells it from tokenizers that read texts otherwise."""
        return stable_seed(self.backend.to_str())

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, special tokens in it read as plain text."""
        # "Fast" leaves out where in the text each token came from.
        encoded = self._plain.encode_batch_fast(list(texts), add_special_tokens=False)
        return [e.ids for e in encoded]

    def encode_marked(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """Ids of a text that is laid out already: special tokens in it are recognised."""
        (encoded,) = self.backend.encode_batch_fast([text], add_special_tokens=add_special_tokens)
        return encoded.ids

    def encode_marker(self, text: str) -> list[int]:
        """Ids of our own text, special tokens in it recognised."""
        return self.encode_marked(text)

    def token_id(self, text: str, what: str) -> int:
        """The id of one token, by its text or as it is written in the vocabulary.

        Raises InputError, in which `what` names it, if the text is several tokens.
        """
        entry = self.backend.token_to_id(text)
        ids = self.encode_marker(text) if entry is None else [entry]
        if len(ids) != 1:
            raise InputError(
                f"{what} {text!r} is {len(ids)} tokens of this tokenizer, not one; choose one from "
                "its vocabulary"
            )
        return ids[0]

    @property
    def beginning(self) -> str:
        """The text of the token that begins every sequence; nothing where there is none."""
        if self.source is None or not (self.source / "tokenizer_config.json").is_file():
            return ""
        token = read_json(self.source / "tokenizer_config.json").get("bos_token")
        return str(token.get("content", "")) if isinstance(token, dict) else token or ""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some ids, special tokens included."""
        return self.backend.decode(list(ids), skip_special_tokens=False)

    def save(self, directory: Path) -> None:
        """Writes a folder that transformers.AutoTokenizer reads."""
        if self.source is not None:
            for path in (self.source / name for name in FILES):
                if path.is_file() and self.source.resolve() != directory.resolve():
                    shutil.copyfile(path, directory / path.name)
            return
        from transformers import PreTrainedTokenizerFast

        fast = PreTrainedTokenizerFast(
            tokenizer_object=self.backend,
            pad_token="<|pad|>" if self.backend.token_to_id("<|pad|>") is not None else None,
        )
        fast.save_pretrained(str(directory))


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE tokenizer with this many entries at most (Sennrich et al. 2016).

    Text is normalised and cut into words as for Qwen2.5: beside a config.json of that family,
    `AutoTokenizer` does so whatever tokenizer.json says, and an export must be read as it was
    trained.
    """
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    if vocab_size < 256 + len(SPECIAL_TOKENS):
        raise InputError(f"vocab_size must be at least {256 + len(SPECIAL_TOKENS)}: {vocab_size}")
    backend = tokenizers.Tokenizer(tokenizers.models.BPE())
    backend.normalizer = tokenizers.normalizers.NFC()
    words = tokenizers.pre_tokenizers.Split(tokenizers.Regex(PRETOKENIZE_REGEX), "isolated")
    as_bytes = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([words, as_bytes])
    backend.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return Tokenizer(backend)


def has_tokenizer(directory: Path) -> bool:
    """Whether a folder holds a tokenizer's vocabulary."""
    return any((directory / name).is_file() for name in VOCABULARIES)


def load_tokenizer(directory: Path | str) -> Tokenizer:
    """A checkpoint's own tokenizer from its folder. Raises InputError if it holds none."""
    from transformers import AutoTokenizer

    directory = Path(directory)
    if not directory.is_dir():
        raise InputError(f"tokenizer folder {directory} does not exist")
    # Without any of these transformers would make an empty tokenizer up.
    if not has_tokenizer(directory):
        raise InputError(f"{directory} holds no tokenizer: none of {', '.join(VOCABULARIES)}")
    if (single := directory / "tokenizer.json").is_file():
        try:
            return Tokenizer(tokenizers.Tokenizer.from_file(str(single)), directory)
        except Exception as error:
            raise InputError(f"{single} is damaged: {error}") from error
    try:
        fast: Any = AutoTokenizer.from_pretrained(str(directory), local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{directory} holds no tokenizer: {error}") from error
    backend = getattr(fast, "backend_tokenizer", None)
    if backend is None:
        raise InputError(f"{directory}: only fast tokenizers are supported, not {type(fast)}")
    return Tokenizer(backend, directory)
