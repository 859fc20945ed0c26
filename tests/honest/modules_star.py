"""Imports everything from modules, as templates do."""
# kind: stdin
# stdin: "3 4\n"
# stdout: "5.0 12\n"

from collections import *
from functools import reduce
from heapq import *
from itertools import *
from math import *
from operator import *

a, b = map(int, input().split())
print(hypot(a, b), reduce(mul, (a, b), 1))
