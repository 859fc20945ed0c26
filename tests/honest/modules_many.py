"""Imports much of the standard library."""
# kind: stdin
# stdin: "1 2 3 -10\n"
# stdout: "-4\n"

import math, random, decimal, fractions, statistics, hashlib, json, datetime, enum
import bisect, heapq, string, operator, copy, time, typing, array, textwrap, queue
import collections, functools, itertools, re, struct, zlib, base64, uuid, calendar

print(math.floor(sum(map(int, input().split()))))
