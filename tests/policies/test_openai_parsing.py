from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeprm_jax.policies.openai_parsing import (
    Plan,
    fenced,
    numbered,
    parse_plan,
    parse_program,
    parse_step,
    parse_thought,
    parse_value,
    visible,
)

WANTED = ("Sort the list, since 2**n ways are too many.", "Return `x[-1]`.")

PLANS = {
    "dots": "1. {0}\n2. {1}",
    "parentheses": "1) {0}\n2) {1}",
    "around": "(1) {0}\n(2) {1}",
    "no space": "1.{0}\n2.{1}",
    "steps": "Step 1: {0}\nStep 2: {1}",
    "thoughts": "Thought 1: {0}\n\nThought 2: {1}\n",
    "dashes": "- {0}\n- {1}",
    "stars": "* {0}\n* {1}",
    "bullets": "• {0}\n• {1}",
    "bold numbers": "**1.** {0}\n**2.** {1}",
    "bold labels": "**Step 1:** {0}\n\n**Step 2:** {1}",
    "bold label, colon outside": "**Step 1**: {0}\n**Step 2**: {1}",
    "headings": "### Step 1\n{0}\n\n### Step 2\n{1}",
    "headings and blank lines": "## Step 1:\n\n{0}\n\n## Step 2:\n\n{1}\n",
    "preamble": "Sure! Here is the plan:\n\n1. {0}\n2. {1}\n\nLet me know if it helps.",
    "indented": "   1. {0}\n   2. {1}",
    "two lines": "1. Sort the list,\n   since 2**n ways are too many.\n2. {1}",
    "code behind": "1. {0}\n2. {1}\n```python\n# 3. not a thought\n```",
    "json": '["{0}", "{1}"]',
    "json in a fence": 'Here:\n```json\n["{0}",\n "{1}"]\n```\n',
    "json under a name": '{{"thoughts": ["{0}", "{1}"]}}',
    "json within text": 'The plan: ["{0}", "{1}"] as asked.',
    "thinking": "<think>\n1. Maybe this.\n2. Or that.\n3. No.\n</think>\n\n1. {0}\n2. {1}",
    "end of thinking": "1. Maybe this.\n</think>1. {0}\n2. {1}",
    "windows": "1. {0}\r\n2. {1}\r\n",
}


@pytest.mark.parametrize("style", PLANS)
def test_lists_in_every_common_style(style: str) -> None:
    plan = parse_plan(visible(PLANS[style].format(*WANTED)))
    assert plan.thoughts == WANTED and not plan.done


def test_bold_marks_go_and_powers_stay() -> None:
    text = "1. **Read the input**: it has n numbers.\n**2. Add.** All of 2**n and 3**m.\n"
    expected = ("Read the input: it has n numbers.", "Add. All of 2**n and 3**m.")
    assert parse_plan(text).thoughts == expected


def test_details_under_a_numbered_thought_belong_to_it() -> None:
    text = "1. Read:\n   - the number\n   - the list\n2. Add."
    assert parse_plan(text).thoughts == ("Read: - the number - the list", "Add.")


@pytest.mark.parametrize(
    "end", ["DONE", "**DONE**", "DONE.", "3. DONE", "\nDONE\nThat is all: 4. no"]
)
def test_done_is_no_thought(end: str) -> None:
    plan = parse_plan(f"1. {WANTED[0]}\n2. {WANTED[1]}\n{end}")
    assert plan.thoughts == WANTED and plan.done


def test_done_within_a_thought_is_a_word() -> None:
    assert not parse_plan("1. Stop when all is DONE, then return.").done


def test_a_cut_is_seen_only_within_the_last_thought() -> None:
    assert parse_plan("1. Read.\n2. Ad").open
    assert parse_plan("1. Read.\n2.") == Plan(("Read.",))
    for text in (
        "1. Read.\n2. Add.\n\nThis takes",
        "1. Read.\n```python\nx =",
        '["Read.", "Add."]',
    ):
        assert not parse_plan(text).open


@pytest.mark.parametrize(
    "text",
    [
        "Use a set.",
        "1. Use a set.",
        "2. Use a set.",
        "Thought 2: Use a set.",
        "**New thought:** Use a set.",
        "Use a set.\n\nThis is better since it is fast.",
        '["Use a set."]',
        "1. Read.\n2. Use a set.\n3. Return.",
        "Rewritten step: Use a set.\n```python\npass\n```",
    ],
)
def test_one_thought(text: str) -> None:
    assert parse_thought(text, 1, 3) == "Use a set."


def test_no_thought() -> None:
    assert parse_thought("") is None and parse_thought("```python\nx = 1\n```") is None
    assert parse_plan("I cannot help with that.").thoughts == ()


SOLUTION = "import math\n\n\ndef f(x):\n    return math.floor(x)\n"


@pytest.mark.parametrize(
    "text",
    [
        f"```python\n{SOLUTION}```",
        f"```py\n{SOLUTION}```",
        f"```Python\n{SOLUTION}\n```\nIt rounds down.",
        f"Here:\n\n```\n{SOLUTION}```",
        f"~~~python\n{SOLUTION}~~~",
        f"```python\ndef f(x):\n    return x\n```\nNo. Better:\n```python\n{SOLUTION}```",
        f"```python\n{SOLUTION}```\nUse it:\n```python\nprint(f(1.5))\nprint(f(2.5))\n"
        + "#" * 99
        + "\n```",
        f"```\n{SOLUTION}```\nOutput:\n```python\nprint(f(1.5))\n```",
        f"```bash\npip install f\n```\n```python\n{SOLUTION}```",
        f"```python\n{SOLUTION}",  # the end was forgotten
        SOLUTION,
        f"Here is the program:\n\n{SOLUTION}",
        f"<think>```python\ndef f(x): pass\n```</think>\n```python\n{SOLUTION}```",
        f"```python\r\n{SOLUTION}```".replace("\n", "\r\n").replace("\r\r", "\r"),
        "  ```python\n  import math\n\n\n  def f(x):\n      return math.floor(x)\n  ```",
    ],
)
def test_programs(text: str) -> None:
    assert parse_program(visible(text), "f", cut=False) == SOLUTION


def test_without_a_name_the_longest_block_is_the_program() -> None:
    program = "n = int(input())\nprint(n + 1)\n"
    text = (
        f"For\n```\n3\n```\nit prints\n```\n4\n```\nwith\n```python\n{program}```\nTry\n```\n5\n```"
    )
    assert parse_program(text, None, cut=False) == program
    plain = text.replace("python", "")
    assert parse_program(plain, None, cut=False) == program


@pytest.mark.parametrize(
    "text",
    ["", "Sorry", "I cannot do that.", "x: int", "```c\nint f;\n```", "```python\n```", "42"],
)
def test_no_program(text: str) -> None:
    assert parse_program(text, "f", cut=False) is None


def test_a_program_that_was_cut_off_is_none_and_one_before_the_cut_is_whole() -> None:
    assert parse_program(f"```python\n{SOLUTION}", "f", cut=True) is None
    assert parse_program(SOLUTION, "f", cut=True) is None
    assert parse_program(f"```python\n{SOLUTION}```\nThis works bec", "f", cut=True) == SOLUTION


def test_a_program_that_does_not_compile_is_still_the_model_s() -> None:
    assert parse_program("```python\ndef f(x:\n```", "f", cut=False) == "def f(x:\n"


@pytest.mark.parametrize(
    "text",
    [
        "Step: 2",
        "Step 2",
        "2",
        "**Step: 2**",
        "The first wrong thought is thought 2.",
        "Step 1 is right, but in step 2 the bound is off by 1.",
        "It fails for 10 items.\n\nStep: 2\n",
        "Step: 2\n\nIt cannot be step 3, as that follows.",
        "Answer: **Step 2**",
        "Step number 2 reads 5 values.",
        "Thought #2",
    ],
)
def test_steps(text: str) -> None:
    assert parse_step(text, 4) == 1


@pytest.mark.parametrize(
    "text", ["", "none of them", "Step: 0", "Step: 5", "Step: 99999999999", "2.5"]
)
def test_no_step(text: str) -> None:
    assert parse_step(text, 4) is None


@pytest.mark.parametrize(
    "text",
    [
        "0.7",
        ".7",
        "7/10",
        "7 / 10",
        "7 out of 10",
        "70%",
        "70 %",
        "70 percent",
        "Score: 0.7",
        "**Score: 0.7**",
        "**Score:** 0.70",
        "Score: 70%.",
        '{"score": 0.7}',
        "Score: 0.7 (between 0 and 1)",
        "The plan reads 5 numbers in 2 steps.\nScore: 0.7",
        "With a probability of 0.3 it fails. Probability: 0.7",
        "I would say 0.7.",
        "Score: 7e-1",
    ],
)
def test_values(text: str) -> None:
    assert parse_value(text) == pytest.approx(0.7)


def test_values_at_the_ends() -> None:
    assert parse_value("Score: 0") == 0.0 and parse_value("Score: 1") == 1.0
    assert parse_value("100%") == 1.0


@pytest.mark.parametrize(
    "text", ["", "high", "8", "Score: 8", "-0.5", "nan", "inf", "1/0", "3/2", "150%", "1e999/1e999"]
)
def test_no_value(text: str) -> None:
    assert parse_value(text) is None


PIECES = st.sampled_from(
    [
        *(
            "```",
            "```python",
            "~~~",
            "\n",
            "\n\n",
            "1. ",
            "2) ",
            "Step 3:",
            "- ",
            "**",
            "DONE",
            "[",
        ),
        *(
            '"',
            "]",
            "{",
            "<think>",
            "</think>",
            "def f(x):\n",
            "    return x\n",
            "(",
            "0.7",
            "7/",
            "%",
        ),
        *("Score: ", "step ", "\r", "\0", "\ud800", "\u2028", "e", "99999", "'''", "\\"),
    ]
)
TEXTS = st.one_of(st.text(st.characters()), st.lists(PIECES | st.text(max_size=5)).map("".join))


@given(TEXTS, st.integers(1, 5), st.booleans())
def test_nothing_raises_on_any_text(text: str, count: int, cut: bool) -> None:
    for given_text in (text, visible(text)):
        plan = parse_plan(given_text)
        assert all(t and t == " ".join(t.split()) for t in plan.thoughts)
        parse_thought(given_text, count - 1, count)
        for name in (None, "f"):
            program = parse_program(given_text, name, cut)
            assert program is None or program.strip()
        step, value = parse_step(given_text, count), parse_value(given_text)
        assert step is None or 0 <= step < count
        assert value is None or 0 <= value <= 1
    visible(text).encode()


@pytest.mark.parametrize(
    "text", ["(" * 50_000, "-" * 50_000 + "1", "a." * 50_000 + "b", "[" * 50_000]
)
def test_deep_nesting_is_no_program(text: str) -> None:
    assert parse_program(text, None, False) is None
    assert parse_plan(f'["{text}').thoughts == ()


SENTENCES = st.text(st.characters(codec="utf-8")).map(lambda t: " ".join(t.split()))
THOUGHTS = SENTENCES.filter(lambda t: t and "**" not in t and t.strip("*_`.-# ") != "DONE")


@given(st.lists(THOUGHTS, min_size=1, max_size=6), st.integers(1, 9))
def test_a_plan_is_read_back(thoughts: list[str], first: int) -> None:
    plan = parse_plan(numbered(thoughts, first))
    assert plan.thoughts == tuple(thoughts)


@given(
    st.lists(
        st.sampled_from(["x = 1", "    ", "```", "~~~", "'''", "    y = '`'", "", "````python"])
    )
)
def test_a_program_is_read_back(lines: list[str]) -> None:
    code = "\n".join(["import sys", *lines, "print(1)", ""])
    assert parse_program(f"So:\n{fenced(code)}\nIt prints 1.", None, False) == code


@given(st.text(st.characters(codec="utf-8")))
def test_a_program_without_a_fence_compiles(text: str) -> None:
    program = parse_program(text, None, False)
    if program is not None and "```" not in text and "~~~" not in text:
        ast.parse(program)
