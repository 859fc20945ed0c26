"""`transformers serve` in a process of its own, with a tiny language model made for the purpose.

The model is a Markov chain written into the weights of a Qwen2: its layers add nothing to the
residual stream, embeddings are one-hot, and the output matrix holds the logits of what may follow
each token. So a real server samples from a real checkpoint, and what it says can be read.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import httpx
import pytest

# Every answer has something for each kind of request: a plan, a program, a step and a value.
ANSWERS: tuple[tuple[str, ...], ...] = (
    ("1. Read all the numbers.\n", "1. Read the first number only.\n"),
    ("2. Add them up.\n", "2. Multiply them.\n", "2. Find the largest.\n"),
    ("3. Return the sum.\n", "3. Return twice the sum.\n"),
    ("4. Check the empty list.\n",),
    ("\n```python\n",),
    ("def total(values):\n",),
    ("    return sum(values)\n", "    return max(values)\n", "    return 2 * sum(values)\n"),
    ("```\n\n",),
    ("Step: 1\n", "Step: 2\n", "Step: 3\n"),
    ("Score: 0.25", "Score: 0.75"),
)
# Qwen's form: the server looks for its markers in the prompt.
START, END, ANSWER = "<|im_start|>", "<|im_end|>", "<|im_start|>assistant\n"
TEMPLATE = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{{ '<|im_start|>assistant\n' }}"
)
IMPOSSIBLE = -60.0  # logit


def save_chat_model(folder: Path, answers: Sequence[Sequence[str]] = ANSWERS) -> Path:
    """A checkpoint whose every answer is one of `answers[0]`, then one of `answers[1]`, and so on.

    All alternatives are different texts, equally likely at temperature 1.
    """
    torch = pytest.importorskip("torch", reason="a model server needs the dev extra")
    import tokenizers
    import transformers

    flat = [text for position in answers for text in position]
    assert len(set(flat)) == len(flat)
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    backend = tokenizers.Tokenizer(
        tokenizers.models.BPE({c: i for i, c in enumerate(alphabet)}, [])
    )
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    backend.add_special_tokens([START, END, ANSWER])
    backend.add_tokens([tokenizers.AddedToken(t, normalized=False) for t in flat])
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=END,
        pad_token=END,
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.save_pretrained(folder)

    size = -(-backend.get_vocab_size() // 32) * 32
    end, start = backend.token_to_id(END), backend.token_to_id(ANSWER)
    config = transformers.Qwen2Config(
        vocab_size=size,
        hidden_size=size,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=16384,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=end,
    )
    logits = torch.full((size, size), IMPOSSIBLE)  # of column's successor being row
    before = [start]
    for position in answers:
        after = [backend.token_to_id(t) for t in position]
        for one in before:
            logits[after, one] = 0.0
        before = after
    for one in before:
        logits[end, one] = 0.0
    model = transformers.Qwen2ForCausalLM(config).eval()
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(size))
        model.lm_head.weight.copy_(logits / size**0.5)  # a normalised one-hot has this length
    model.generation_config = transformers.GenerationConfig(
        do_sample=True, top_k=0, eos_token_id=end, pad_token_id=end
    )
    model.save_pretrained(folder)
    return folder


class TransformersServe:
    """The server of a checkpoint, on one port for as long as it is started again.

    Ends with the `with` block. What it prints is in `log`. If it is not pinned to its checkpoint,
    it serves any other too, by the name of its folder, and loads each when it is asked for.
    """

    def __init__(self, model: Path, log: Path, seconds: float = 180, pinned: bool = True) -> None:
        self.model, self.log, self.seconds, self.pinned = str(model), log, seconds, pinned
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, wait: bool = True) -> None:
        """Starts the server; with `wait`, returns when it is healthy."""
        command = [str(Path(sys.executable).with_name("transformers")), "serve"]
        command += [self.model] if self.pinned else []
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--device", "cpu"]
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )
        deadline = time.monotonic() + self.seconds
        while wait and not self._healthy():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                pytest.fail(f"transformers serve did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.2)

    def kill(self) -> None:
        """Kills the server as a machine that goes away does: with no goodbye."""
        process, self._process = self._process, None
        if process is not None:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)

    def _healthy(self) -> bool:
        address = self.url.removesuffix("/v1")
        try:
            return httpx.get(f"{address}/health", timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False
