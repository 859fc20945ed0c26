"""Begins with a future statement, on which its annotations depend."""
# kind: stdin
# stdin: "1 2 3\n"
# stdout: "6\n"

from __future__ import annotations

from dataclasses import dataclass


@dataclass(order=True)
class A:
    x: int
    y: A | None = None


print(sum(A(int(x)).x for x in input().split()))
