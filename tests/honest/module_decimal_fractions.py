"""Computes with decimals, fractions and statistics."""
# kind: stdin
# stdin: "0.1 0.2\n"
# stdout: "0.3 3/10 0.15 0.3333333333\n"

import statistics
from decimal import Decimal, getcontext
from fractions import Fraction

a, b = input().split()
getcontext().prec = 10
print(Decimal(a) + Decimal(b), Fraction(a) + Fraction(b), end=" ")
print(statistics.mean([Decimal(a), Decimal(b)]), Decimal(1) / 3)
