"""Settings of the policy that talks to a model server. Reading them loads no SDK."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from codeprm_jax.files import InputError
from codeprm_jax.policies.policy import TokenLimits

NO_KEY = "not-needed"  # sent where the environment holds no key: most own servers want none
MOST_CONCURRENCY = 1000  # connections that the SDK keeps at most

# What the policy decides itself, request by request.
_RESERVED = ("model", "messages", "temperature", "top_p", "seed", "n", "stream")


@dataclass(frozen=True)
class OpenAIConfig:
    """Where the server is, what is asked of it, and how patiently.

    Attributes:
      base_url: of the API, with its version: most servers have it at /v1.
      model: its name, as the server lists it.
      api_key_variable: the environment variable that holds the key, if the server wants one.
      temperature: of thoughts and programs.
      judgement_temperature: of locations and values.
      top_p: always sent, as servers' own defaults differ; 1 for no cut.
      thoughts: of a whole plan, at most.
      limits: generated tokens an answer, reasoning included.
      max_tokens_parameter: by which name the server knows the limit; hosted reasoning models take
        max_completion_tokens only, older servers max_tokens only.
      concurrency: requests in flight at most.
      timeout: seconds for one attempt at a request.
      patience: seconds for which a request is tried again after its first failed attempt.
      prompts: folder with your own prompt files; None for the package's.
      cache: folder in which answers are kept; None for no cache.
      extra_body: a JSON object whose members are sent with every request, such as
        {"chat_template_kwargs": {"enable_thinking": false}}.

    Raises:
      InputError: a setting out of its range; names it.
    """

    base_url: str = "http://127.0.0.1:8000/v1"
    model: str = ""
    api_key_variable: str = "OPENAI_API_KEY"
    temperature: float = 0.7
    judgement_temperature: float = 0.0
    top_p: float = 1.0
    thoughts: int = 4
    limits: TokenLimits = TokenLimits(thoughts=512, program=1024, judgement=256)
    max_tokens_parameter: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    concurrency: int = 32
    timeout: float = 600.0
    patience: float = 600.0
    prompts: Path | None = None
    cache: Path | None = None
    extra_body: str = "{}"

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("http://", "https://")):
            raise InputError(f"base_url must begin with http:// or https://, not {self.base_url!r}")
        for name in ("temperature", "judgement_temperature"):
            if not 0 <= getattr(self, name) <= 2:
                raise InputError(f"{name} must be in [0, 2], not {getattr(self, name)}")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top_p must be in (0, 1], not {self.top_p}")
        if self.thoughts < 1:
            raise InputError(f"thoughts must be at least 1, not {self.thoughts}")
        if min(self.limits.thoughts, self.limits.program, self.limits.judgement) < 1:
            raise InputError(f"every limit of tokens must be at least 1: {self.limits}")
        if not 1 <= self.concurrency <= MOST_CONCURRENCY:
            raise InputError(
                f"concurrency must be in [1, {MOST_CONCURRENCY}], not {self.concurrency}"
            )
        if not self.timeout > 0 or not self.patience >= 0:
            raise InputError(
                f"timeout > 0 and patience >= 0 are needed, not {self.timeout} and {self.patience}"
            )
        self.extra()

    def extra(self) -> dict[str, Any]:
        """`extra_body` as an object. Raises InputError if it is none, or sets what it must not."""
        try:
            found = json.loads(self.extra_body)
        except json.JSONDecodeError as error:
            raise InputError(f"extra_body is not valid JSON: {error}") from error
        if not isinstance(found, dict):
            raise InputError(f"extra_body must be a JSON object, not {self.extra_body}")
        reserved = {*_RESERVED, "max_tokens", "max_completion_tokens"}
        if taken := sorted(reserved & set(found)):
            raise InputError(
                f"extra_body must not set {', '.join(taken)}: there are settings for some of them, "
                "and the others belong to each request"
            )
        return found

    def api_key(self) -> str:
        """The key from the environment, or a placeholder. Nothing stores it."""
        return os.environ.get(self.api_key_variable, "").strip() or NO_KEY
