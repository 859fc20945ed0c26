from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeprm_jax.problems.foreign_code import as_module, function_starter


def test_missing_imports_are_put_in_front() -> None:
    code = "def f(n: List[int]):\n    return bisect.bisect(n, gcd(4, 6)), deque(n), re, inf\n"
    assert as_module(code, "f") == (
        "import bisect\nfrom typing import List\nfrom collections import deque\n"
        "from math import gcd, inf\n\n\n" + code
    )


@pytest.mark.parametrize(
    "code",
    [
        "from math import *\ndef f(x):\n    return gcd(x, 2)\n",
        "import math\ndef f(x):\n    return math.gcd(x, 2)\n",
        "def f(count, product):\n    return count + product\n",
        "def gcd(a, b):\n    return a\ndef f(x):\n    return gcd(x, x)\n",
        "chain = 3\ndef f(x):\n    return unknown + chain\n",
    ],
)
def test_what_is_bound_needs_no_import(code: str) -> None:
    assert as_module(code, "f") == code


METHODS = """class Solution(object):
    def f(self, x: int) -> int:
        if x <= 1:
            return self.end(x)
        return self.f(x - 1) + x

    def end(this, x):
        return x
"""


def _call(module: str | None, *arguments: object) -> object:
    assert module is not None and "\r" not in module
    names: dict[str, Any] = {}
    exec(module, names)
    return names["f"](*arguments)


def test_methods_become_functions() -> None:
    module = as_module(METHODS.replace("\n", "\r\n"), "f")
    assert module == (
        "def f(x: int) -> int:\n    if x <= 1:\n        return end(x)\n    return f(x - 1) + x\n\n"
        "def end(x):\n    return x\n"
    )
    assert _call(module, 4) == 10


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x <= 1", "self.__class__ and x <= 1"),
        ("return self.end(x)", "self.kept = x\n            return self.kept"),
        ("return self.end(x)", "end = 1\n            return end"),
        ("return self.end(x)", "import end\n            return x"),
        ("return self.end(x)", "return Solution().end(x)"),
        ("    def f", "    base = 0\n    def f"),
        ("class Solution(object)", "import abc\nclass Solution(abc.ABC)"),
        ("    def end", "    @staticmethod\n    def end"),
        ("end", "len"),
        ("class", "end = 3\nclass"),
        ("class", "def end():\n    pass\nclass"),
        ("end(this, x)", "end(this, x, *, y=0)"),
        ("return x\n", "return (lambda this: this)(x)\n"),
    ],
)
def test_a_class_that_is_more_than_its_methods_stays(old: str, new: str) -> None:
    code = METHODS.replace(old, new)
    assert code != METHODS
    module = as_module(code, "f")
    assert module is not None and module.startswith(code)
    if "import end" not in code and "staticmethod" not in code:
        assert _call(module, 4) == 10


@pytest.mark.parametrize(
    ("code", "entry_point"),
    [
        ("print 3", None),
        ("def g(x):\n    return x\n", "f"),
        ("class Solution:\n    def g(self, x):\n        return x\n", "f"),
        ("class Other:\n    def f(self, x):\n        return x\n", "f"),
        ("x = '\\ud800'\0", None),
    ],
)
def test_what_is_no_solution(code: str, entry_point: str | None) -> None:
    assert as_module(code, entry_point) is None


@pytest.mark.parametrize(
    ("code", "starter"),
    [
        ("class Solution:\n    def f(self, a: int) -> int:\n        ", "def f(a: int) -> int:\n"),
        ("def f(a, b={}):\n\t#your code here", "def f(a, b={}):\n"),
        ("def f(a=':', *, b): # colons\n", "def f(a=':', *, b):\n"),
        ("def f(a,\n      b):\n", "def f(a, b):\n"),
        ("def g(a):\n", ""),
        ("def f(a", ""),
        ("", ""),
        (
            "class Solution:\n    def f(self, root: Optional[TreeNode]) -> None:\n",
            "from typing import Optional\n\n\ndef f(root: Optional[TreeNode]) -> None:\n",
        ),
    ],
)
def test_signatures(code: str, starter: str) -> None:
    assert function_starter(code, "f") == starter


@given(st.text())
def test_any_text_is_a_module_or_none(text: str) -> None:
    module = as_module(text, None)
    if module is not None:
        ast.parse(module)
    starter = function_starter(text + "\ndef f(" + text, "f")
    if starter:
        ast.parse(starter + "    pass\n")
