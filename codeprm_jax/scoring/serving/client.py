"""A scorer behind a server, with the interface of one in this process."""

from __future__ import annotations

import itertools
import json
import os
import random
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
import numpy as np
from pydantic import ValidationError

from codeprm_jax.data.layout import ExampleTooLongError, StepInput, View
from codeprm_jax.files import InputError, RunError
from codeprm_jax.scoring.scorer import Scorer, StepScores
from codeprm_jax.scoring.serving.wire import TOKEN_VARIABLE, TraceForm

if TYPE_CHECKING:
    from codeprm_jax.scoring.engine import StepScorer

REQUEST_BYTES = 1_000_000  # of the traces in a request, unless one alone has more
REQUEST_TRACES = 128  # so that a busy server can answer within its time
LONGEST_PAUSE = 10.0  # seconds between two attempts

_numbers = itertools.count()


class ScorerClient(Scorer):
    """Scores traces with a server; closes its connections at the end of a `with` block.

    Each client is one in the server's turns, however many connections it uses. It may be used by
    several threads.

    Args:
      url: of the server, such as http://127.0.0.1:8000.
      token: bearer token; default the variable CODEPRM_SERVER_TOKEN, if it is set.
      timeout: seconds for the answer to a request.
      retries: further attempts, with growing pauses, if the server is busy or cannot be reached.
      view: as in `engine.StepScorer`; default the server's.

    Raises:
      InputError: the token is wrong, or the model was not trained to read the view.
      RunError: no server answers there, or none of ours.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        timeout: float = 150.0,
        retries: int = 6,
        view: View | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.retries = retries
        token = token or os.environ.get(TOKEN_VARIABLE)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers["X-Client-Id"] = f"{socket.gethostname()}-{os.getpid()}-{next(_numbers)}"
        try:
            self._http = httpx.Client(base_url=self.url, timeout=timeout, headers=headers)
            card = self._call("GET", "/v1/models")["data"][0]
            self.views, self.max_tokens = tuple(card["views"]), int(card["max_model_len"])
            self.view: View = view or card["view"]
            self.fingerprint = _fingerprint(card, self.view)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
            raise InputError(f"{url} is no address of a server: {error}") from error
        except (KeyError, IndexError, TypeError) as error:
            raise RunError(f"what answers at {url} is no server of codeprm serve") from error
        if self.view not in self.views:
            raise InputError(
                f"the model was not trained to read the view {view!r}; it reads "
                f"{', '.join(self.views)}"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def score_each(
        self, inputs: Sequence[StepInput], view: View | None = None
    ) -> list[StepScores | InputError]:
        """As `score`, but an input that cannot be scored gives its error and spares the others.

        Beside what a scorer in this process refuses, these are traces beyond the server's limits of
        thoughts and characters, and those with no thoughts.

        Raises:
          InputError: a view that the model was not trained to read.
          RunError: the server is gone, or remains busy.
        """
        results: list[StepScores | InputError | None] = [None] * len(inputs)
        forms: dict[int, bytes] = {}
        for index, item in enumerate(inputs):
            form = TraceForm.of(item)
            try:
                TraceForm.model_validate(form)
                forms[index] = json.dumps(form).encode()
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"])) or "trace"
                results[index] = InputError(f"{where}: {first['msg']}")
        for part in _parts(forms):
            for index, result in self._score_part(part, view or self.view):
                results[index] = result
        return [result for result in results if result is not None]

    def _score_part(
        self, part: dict[int, bytes], view: View
    ) -> Iterator[tuple[int, StepScores | InputError]]:
        end = f'],"view":{json.dumps(view)}}}'.encode()
        try:
            answer = self._call(
                "POST", "/v1/score", b'{"traces":[' + b",".join(part.values()) + end
            )
        except _TooLargeError as error:
            if len(part) == 1:
                if error.status == 504:
                    raise RunError(f"{self.url}: {error}") from error
                yield next(iter(part)), InputError(str(error))
                return
            pairs, half = list(part.items()), len(part) // 2
            yield from self._score_part(dict(pairs[:half]), view)
            yield from self._score_part(dict(pairs[half:]), view)
            return
        for index, result in zip(part, answer["results"], strict=True):
            yield index, _result(result)

    def _call(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        """The JSON of an answer. Tries again where that may help."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        pause = 0.1
        for attempt in itertools.count():
            after = 0.0
            try:
                answer = self._http.request(method, path, content=body, headers=headers)
            except httpx.UnsupportedProtocol:
                raise
            except httpx.TimeoutException as error:
                if not isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
                    raise RunError(f"{self.url} gave no answer in time: {error!r}") from error
                problem = repr(error)
            except httpx.TransportError as error:
                problem = str(error) or repr(error)
            else:
                if answer.status_code != 503:
                    return self._read(answer)
                problem = _message(answer)
                given = answer.headers.get("retry-after", "")
                after = float(given) if given.isdigit() else 0.0
            if attempt >= self.retries:
                raise RunError(
                    f"no answer from {self.url} after {attempt + 1} attempts ({problem}): is the "
                    "server running, and can this machine reach it?"
                )
            # Not all at once: those who were refused together come back apart.
            time.sleep(min(LONGEST_PAUSE, max(after, pause)) * random.uniform(0.7, 1.3))
            pause *= 2
        raise AssertionError("unreachable")

    def _read(self, answer: httpx.Response) -> dict[str, Any]:
        if answer.status_code == 401:
            raise InputError(f"{self.url} wants another token: set {TOKEN_VARIABLE}")
        if answer.status_code in (413, 504):
            raise _TooLargeError(_message(answer), answer.status_code)
        if 400 <= answer.status_code < 500 and answer.status_code not in (404, 408):
            raise InputError(f"{self.url} refuses the request: {_message(answer)}")
        if answer.status_code != 200:
            raise RunError(f"{self.url} answers {answer.status_code}: {_message(answer)}")
        try:
            found = answer.json()
        except ValueError as error:
            raise RunError(f"what answers at {self.url} is no server of codeprm serve") from error
        return found if isinstance(found, dict) else {}


class _TooLargeError(Exception):
    """A request that the server finds too large, or cannot answer in time."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def open_scorer(
    model: Path | str, view: View | None = None, **engine: Any
) -> ScorerClient | StepScorer:
    """The scorer behind an address that begins with http:// or https://, or that of a model.

    Args:
      engine: further arguments of `engine.StepScorer`, for a model in this process only.

    Raises what `ScorerClient` and `engine.StepScorer` do, and InputError on `engine` for a server.
    """
    if str(model).startswith(("http://", "https://")):
        if engine:
            raise InputError(
                f"{', '.join(engine)}: a server computes as it was told when it was started; "
                "give such options to codeprm serve"
            )
        return ScorerClient(str(model), view=view)
    from codeprm_jax.scoring.engine import StepScorer  # JAX: a client of a server needs none

    return StepScorer(model, view=view, **engine)


def _fingerprint(card: dict[str, Any], view: View) -> str:
    """The fingerprint that a scorer of this view has in its own process."""
    found = str(card["fingerprint"]).removesuffix(f", view {card['view']}")
    return found if view == card["views"][-1] else f"{found}, view {view}"


def _parts(forms: dict[int, bytes]) -> Iterator[dict[int, bytes]]:
    """Runs of traces that fit into one request."""
    part: dict[int, bytes] = {}
    size = 0
    for index, form in forms.items():
        if part and (len(part) == REQUEST_TRACES or size + len(form) > REQUEST_BYTES):
            yield part
            part, size = {}, 0
        part[index] = form
        size += len(form)
    if part:
        yield part


def _result(result: dict[str, Any]) -> StepScores | InputError:
    if (error := result.get("error")) is None:
        return StepScores(np.array(result["scores"], np.float32), result["tokens"])
    if error["type"] == "too_long":
        return ExampleTooLongError(error["message"], error["tokens"], error["limit"])
    return InputError(error["message"])


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200] or f"status {answer.status_code}"
