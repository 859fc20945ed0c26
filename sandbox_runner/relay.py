"""Check code that is more than assertions: run in a cell of its own, its calls carried across.

The tester's process holds the test code and whatever it expects; the program's process gets calls
as data and returns values as data. Neither can reach the other but through here.
"""

from __future__ import annotations

import select
import time
from typing import Any, Protocol

from sandbox_runner import codec, judge
from sandbox_runner.types import CheckTest, Job, TestResult, Verdict

GRACE_S = 10.0


class Cell(Protocol):
    """A cell in mode "serve" or "tester", as `sandbox_runner.worker` opens it."""

    channel: Any

    def send(self, value: Any, deadline: float) -> None:
        """Sends a frame."""

    def receive(self, deadline: float) -> dict[str, Any]:
        """The next frame."""


def judge_check(test: CheckTest, job: Job, program: Cell, tester: Cell) -> TestResult:
    """The verdict of `test.code` on the program, which both cells have compiled or will run.

    Raises CellLostError, by way of the cells, when one is lost, and TimeoutError when both hang.
    """
    deadline = time.monotonic() + job.limits.wall_s + GRACE_S
    program.send({"start": {"id": test.id}}, deadline)
    ended: dict[str, dict[str, Any]] = {}
    outcome: dict[str, Any] | None = None
    ready, waiting = False, False
    poll = select.poll()
    sides = {
        program.channel.fileno(): ("program", program),
        tester.channel.fileno(): ("tester", tester),
    }
    for fd in sides:
        poll.register(fd, select.POLLIN)
    while len(ended) < (2 if ready else 1):
        events = poll.poll(max(0.0, deadline - time.monotonic()) * 1000 + 1)
        if not events:
            raise TimeoutError("neither cell has answered within the wall limit")
        for fd, _ in events:
            name, cell = sides[fd]
            frame = cell.receive(deadline)
            if "end" in frame:
                ended[name] = frame["end"]
                other = tester if name == "program" else program
                if ready and len(ended) < 2:
                    other.send({"stop": True}, deadline)
            elif name == "tester":
                message = _message(frame)
                if "call" in message and "program" not in ended:
                    program.send({"reply": frame["child"]}, deadline)
                    waiting = True
                elif "call" not in message:
                    outcome = message
            elif not ready:
                # Only now that the program is imported does the tester's time begin.
                ready = True
                tester.send({"start": {"id": test.id, "code": test.code}}, deadline)
            elif waiting:
                waiting = False
                tester.send({"reply": frame["child"]}, deadline)
    return _verdict(test, job, ended, outcome)


def _verdict(
    test: CheckTest, job: Job, ended: dict[str, dict[str, Any]], outcome: dict[str, Any] | None
) -> TestResult:
    facts = dict(ended["program"])
    stopped = facts["killed"] == "stop"
    verdict = None
    if not stopped:
        # It should have waited for further calls: whatever ended it is the program's failure.
        verdict = judge.failure(facts, job.limits) or Verdict.RE
    elif facts["cpu_s"] > job.limits.cpu_s:
        verdict = Verdict.TLE
    if verdict is not None or "tester" not in ended:
        return judge.result(test, verdict or Verdict.RE, facts)
    testing = ended["tester"]
    facts["stderr"] = "\n".join(t for t in (facts["stderr"], testing["stderr"]) if t)
    facts["wall_s"] = max(facts["wall_s"], testing["wall_s"])
    if testing["killed"] in ("wall", "cpu", "output"):
        return judge.result(test, judge.failure(testing, job.limits) or Verdict.TLE, facts)
    if outcome is None:
        return judge.result(test, Verdict.IE, facts, note="the test code ended without a word")
    if outcome.get("done"):
        return judge.result(test, Verdict.AC, facts)
    if "done" in outcome:
        return judge.result(test, Verdict.IE, facts, note="the test code never called candidate")
    verdict = Verdict.WA if outcome.get("assertion") else Verdict.RE
    return judge.result(test, verdict, facts)


def _message(frame: dict[str, Any]) -> dict[str, Any]:
    try:
        message = codec.loads(frame["child"])
    except (codec.CodecError, KeyError, TypeError):
        return {}
    return message if isinstance(message, dict) else {}
