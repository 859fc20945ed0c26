"""Uses heaps, bisection and iterators."""
# kind: function
# args: ([5, 1, 4],)
# expected: [1, 4, 5, 1, [1, 6, 10], [[1, 4], [1, 5], [4, 5]]]

import bisect
import heapq
import itertools


def f(x):
    heap = x[:]
    heapq.heapify(heap)
    order = [heapq.heappop(heap) for _ in x]
    sums = [order[0], order[0] + order[2], sum(order)]
    pairs = [list(p) for p in itertools.combinations(order, 2)]
    return [*order, bisect.bisect(order, 2), sums, pairs]
