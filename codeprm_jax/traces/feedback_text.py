"""Feedback in words, as the PRM and every policy read it."""

from __future__ import annotations

from codeprm_jax.traces.trace import Failure, Feedback


def render_verdicts(feedback: Feedback | None) -> str:
    """The first line of the feedback."""
    if feedback is None:
        return "The program was not run."
    if feedback.total == 0:
        return "There are no public tests."
    if feedback.all_passed:
        return "All public tests passed."
    return f"{feedback.passed} of {feedback.total} public tests passed."


def render_failure(failure: Failure) -> str:
    """A failing public test: verdict, input, expected output, and actual output or error."""
    lines = [f"{failure.verdict} on {failure.input.strip()}"]
    if failure.expected:
        lines.append(f"expected {failure.expected.strip()}")
    if failure.actual:
        lines.append(f"got {failure.actual.strip()}")
    if error := failure.stderr.strip():
        lines.append(f"error {error.splitlines()[-1]}")
    return "\n".join(lines)
