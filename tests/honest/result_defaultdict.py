"""Returns nested default dicts."""
# kind: function
# args: (1,)
# expected: {1: [{}]}

from collections import defaultdict


def f(x):
    d = defaultdict(list)
    d[x].append(defaultdict(int))
    return d
