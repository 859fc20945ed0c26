"""Bank problems on lists and sequences."""

from __future__ import annotations

from codeprm_jax.problems.bank.entry import BankEntry, step

ENTRIES: tuple[BankEntry, ...] = (
    BankEntry(
        name="best_trade",
        difficulty="easy",
        entry_point="best_trade",
        statement="""
Write a function best_trade(prices) that receives the daily prices of a share as a list of integers
and returns the largest profit that one purchase followed by one later sale can make. If no trade
makes a profit, or there are fewer than two days, return 0.
""",
        public=((([3, 1, 4, 2],), 3), (([5, 2, 7],), 5)),
        private=(
            (([],), 0),
            (([4],), 0),
            (([1, 5],), 4),
            (([9, 7, 4, 1],), 0),
            (([2, 9, 1, 5],), 7),
            (([1, 2, 3, 4, 5],), 4),
            (([6, 1, 3, 2, 8, 0],), 7),
            (([7, 7, 7],), 0),
        ),
        prologue="def best_trade(prices):\n",
        steps=(
            step(
                (
                    "Return 0 at once when there are fewer than two prices, since no trade is possible.",
                    "    if len(prices) < 2:\n        return 0\n",
                ),
                (
                    "Return 0 at once when the list of prices has two or fewer entries.",
                    "    if len(prices) <= 2:\n        return 0\n",
                ),
                (
                    "Return the first price when there is only one day, because that is all one can hold.",
                    "    if len(prices) < 2:\n        return prices[0]\n",
                ),
                (
                    "The list can be taken to have at least one price, so no guard is needed.",
                    "    prices = list(prices)\n",
                ),
            ),
            step(
                (
                    "Keep the lowest price seen so far, beginning with the first day, and a best profit of 0.",
                    "    lowest = prices[0]\n    best = 0\n",
                ),
                (
                    "Keep the lowest price seen so far, beginning with 0, and a best profit of 0.",
                    "    lowest = 0\n    best = 0\n",
                ),
                (
                    "Keep the minimum of the whole list as the buying price, and a best profit of 0.",
                    "    lowest = min(prices)\n    best = 0\n",
                ),
                (
                    "Begin with the first day as the lowest price and with the loss of the first two days as best.",
                    "    lowest = prices[0]\n    best = prices[1] - prices[0]\n",
                ),
            ),
            step(
                (
                    "Go through the later days and take the larger of the best profit and price minus lowest.",
                    "    for price in prices[1:]:\n        best = max(best, price - lowest)\n",
                ),
                (
                    "Go through the later days but leave out the last one, and compare price minus lowest.",
                    "    for price in prices[1:-1]:\n        best = max(best, price - lowest)\n",
                ),
                (
                    "Go through the later days and add price minus lowest to the profit whenever it is positive.",
                    "    for price in prices[1:]:\n        best += max(0, price - lowest)\n",
                ),
                (
                    "Go through the later days and take the larger of best and the absolute difference to lowest.",
                    "    for price in prices[1:]:\n        best = max(best, abs(price - lowest))\n",
                ),
            ),
            step(
                (
                    "After each day update the lowest price with that day's price, and return best at the end.",
                    "        lowest = min(lowest, price)\n    return best\n",
                ),
                (
                    "After each day set the lowest price to that day's price, and return best at the end.",
                    "        lowest = price\n    return best\n",
                ),
                (
                    "After each day raise the reference with the maximum of lowest and price, and return best.",
                    "        lowest = max(lowest, price)\n    return best\n",
                ),
                (
                    "Leave the first price as the reference on all days, and return best at the end.",
                    "        pass\n    return best\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="quiet_window",
        difficulty="easy",
        entry_point="quiet_window",
        statement="""
Write a function quiet_window(noise, k). The list noise holds one integer per hour, which may be
negative because it is measured against a norm. Return the index at which the k consecutive hours
with the smallest total begin; if several windows share that total, return the earliest of them.
Return -1 if k is less than 1 or larger than the number of hours.
""",
        public=(
            (([4, 2, 3, 1, 6], 2), 2),
            (([3, 4], 5), -1),
            (([5, 5, 1, 9], 1), 2),
        ),
        private=(
            (([], 1), -1),
            (([3], 1), 0),
            (([1, 2], 0), -1),
            (([4, 4], 2), 0),
            (([2, 2, 2, 2], 2), 0),
            (([-1, -5, 3, -4], 2), 0),
            (([9, 8, 7, 1], 2), 2),
            (([1, 9, 1, 1, 9], 3), 0),
            (([7, 3, 3, -2, 8, -9, 1], 3), 3),
            ((list(range(50, 0, -1)), 5), 45),
        ),
        prologue="def quiet_window(noise, k):\n",
        steps=(
            step(
                (
                    "Return -1 straight away if k is below 1 or exceeds the number of hours.",
                    "    if k < 1 or k > len(noise):\n        return -1\n",
                ),
                (
                    "Return -1 straight away if k is below 1 or not smaller than the number of hours.",
                    "    if k < 1 or k >= len(noise):\n        return -1\n",
                ),
                (
                    "Return -1 straight away if the window is longer than the list of hours.",
                    "    if k > len(noise):\n        return -1\n",
                ),
                (
                    "Return -1 straight away for an empty list or a window length below 1.",
                    "    if not noise or k < 1:\n        return -1\n",
                ),
            ),
            step(
                (
                    "Add up the first k hours; this total is the best so far and its start is 0.",
                    "    total = sum(noise[:k])\n    best = total\n    best_start = 0\n",
                ),
                (
                    "Add up the first k hours; the best total begins at 0 and so does the start.",
                    "    total = sum(noise[:k])\n    best = 0\n    best_start = 0\n",
                ),
                (
                    "Add up the first k hours; the best so far is the level of the first hour, with start 0.",
                    "    total = sum(noise[:k])\n    best = noise[0]\n    best_start = 0\n",
                ),
                (
                    "Add up the first k hours; best is infinity and the start -1 until the scan finds one.",
                    '    total = sum(noise[:k])\n    best = float("inf")\n    best_start = -1\n',
                ),
            ),
            step(
                (
                    "Slide over the other starts: add the hour that enters, subtract the one before the start.",
                    "    for start in range(1, len(noise) - k + 1):\n"
                    "        total += noise[start + k - 1] - noise[start - 1]\n",
                ),
                (
                    "Slide over the starts 1 to len - k - 1: add the hour that enters, drop the one that left.",
                    "    for start in range(1, len(noise) - k):\n"
                    "        total += noise[start + k - 1] - noise[start - 1]\n",
                ),
                (
                    "Slide over the other starts: add the hour that enters and subtract the one at the start.",
                    "    for start in range(1, len(noise) - k + 1):\n"
                    "        total += noise[start + k - 1] - noise[start]\n",
                ),
                (
                    "Slide over the other starts and add to the total the hour that enters the window.",
                    "    for start in range(1, len(noise) - k + 1):\n        total += noise[start + k - 1]\n",
                ),
            ),
            step(
                (
                    "If the total is strictly below the best, store total and start; return the stored start.",
                    "        if total < best:\n            best, best_start = total, start\n"
                    "    return best_start\n",
                ),
                (
                    "If the total is at most the best, store total and start; return the stored start.",
                    "        if total <= best:\n            best, best_start = total, start\n"
                    "    return best_start\n",
                ),
                (
                    "If the total is below the best, remember this start; return the start remembered last.",
                    "        if total < best:\n            best_start = start\n    return best_start\n",
                ),
                (
                    "If the absolute value of the total is below that of the best, store both; return the start.",
                    "        if abs(total) < abs(best):\n            best, best_start = total, start\n"
                    "    return best_start\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="merge_bookings",
        difficulty="medium",
        statement="""
A room is booked by several clubs. The first line of the input is n (0 to 1000), the number of
bookings; each of the next n lines holds two integers "start end" with start < end, in any order.
A booking covers the minutes from start up to but not including end. Bookings that overlap or touch
(one starts when the other ends) belong to one block. Print the number of blocks and the number of
minutes in which the room is booked at all, separated by a space; for n = 0 print "0 0".
""",
        public=(
            ("3\n1 4\n2 6\n9 10\n", "2 6\n"),
            ("2\n20 25\n5 9\n", "2 9\n"),
            ("3\n0 9\n2 4\n5 6\n", "1 9\n"),
        ),
        private=(
            ("0\n", "0 0\n"),
            ("1\n3 8\n", "1 5\n"),
            ("2\n1 5\n5 7\n", "1 6\n"),
            ("4\n10 20\n0 3\n2 5\n30 31\n", "3 16\n"),
            ("3\n1 9\n1 3\n12 13\n", "2 9\n"),
            ("3\n-5 -2\n-3 0\n4 6\n", "2 7\n"),
            ("5\n8 9\n6 7\n4 5\n2 3\n0 1\n", "5 5\n"),
            ("3\n1 2\n3 4\n0 10\n", "1 10\n"),
            ("4\n2 3\n2 3\n3 4\n8 9\n", "2 3\n"),
            ("40\n" + "".join(f"{i} {i + 6}\n" for i in range(400, 0, -10)), "40 240\n"),
        ),
        prologue="import sys\n\n",
        steps=(
            step(
                (
                    "Read all integers; after the count starts and ends alternate, so zip them to pairs.",
                    "data = list(map(int, sys.stdin.read().split()))\n"
                    "spans = list(zip(data[1::2], data[2::2]))\n",
                ),
                (
                    "Read all integers and zip those at even places with those at odd places to pairs.",
                    "data = list(map(int, sys.stdin.read().split()))\n"
                    "spans = list(zip(data[::2], data[1::2]))\n",
                ),
                (
                    "Read all integers and keep what follows the count in a mapping from each start to its end.",
                    "data = list(map(int, sys.stdin.read().split()))\n"
                    "spans = list(dict(zip(data[1::2], data[2::2])).items())\n",
                ),
                (
                    "Read all integers; after the count zip starts and ends and keep the first n - 1 pairs.",
                    "data = list(map(int, sys.stdin.read().split()))\n"
                    "spans = list(zip(data[1::2], data[2::2]))[: data[0] - 1]\n",
                ),
            ),
            step(
                (
                    "Order the bookings by start time; no block has been opened yet.",
                    "spans.sort()\nblocks = []\n",
                ),
                (
                    "Order the bookings by end time, the earliest first; no block has been opened yet.",
                    "spans.sort(key=lambda span: span[1])\nblocks = []\n",
                ),
                (
                    "Take the bookings as they are given, since a block grows as they come; none is open yet.",
                    "spans = list(spans)\nblocks = []\n",
                ),
                (
                    "Order the bookings from longest to shortest, so that the big ones absorb the small ones.",
                    "spans.sort(key=lambda span: span[0] - span[1])\nblocks = []\n",
                ),
            ),
            step(
                (
                    "A booking that starts no later than the last block ends extends it to the larger end.",
                    "for start, end in spans:\n    if blocks and start <= blocks[-1][1]:\n"
                    "        blocks[-1][1] = max(blocks[-1][1], end)\n",
                ),
                (
                    "A booking that starts before the end of the last block extends it to the larger end.",
                    "for start, end in spans:\n    if blocks and start < blocks[-1][1]:\n"
                    "        blocks[-1][1] = max(blocks[-1][1], end)\n",
                ),
                (
                    "A booking that starts no later than the last block ends moves that end to its own.",
                    "for start, end in spans:\n    if blocks and start <= blocks[-1][1]:\n"
                    "        blocks[-1][1] = end\n",
                ),
                (
                    "A booking that ends no later than the last block lies inside it and changes nothing.",
                    "for start, end in spans:\n    if blocks and end <= blocks[-1][1]:\n"
                    "        blocks[-1][1] = max(blocks[-1][1], end)\n",
                ),
            ),
            step(
                (
                    "Otherwise open a new block. Print how many there are and the sum of their lengths.",
                    "    else:\n        blocks.append([start, end])\n"
                    "print(len(blocks), sum(end - start for start, end in blocks))\n",
                ),
                (
                    "Otherwise open a new block. Print how many there are and the sum of end - start + 1.",
                    "    else:\n        blocks.append([start, end])\n"
                    "print(len(blocks), sum(end - start + 1 for start, end in blocks))\n",
                ),
                (
                    "Otherwise open a block. Print how many there are and the time from first start to last end.",
                    "    else:\n        blocks.append([start, end])\n"
                    "print(len(blocks), blocks[-1][1] - blocks[0][0] if blocks else 0)\n",
                ),
                (
                    "Otherwise open a new block. Print how many there are and the sum of all booked lengths.",
                    "    else:\n        blocks.append([start, end])\n"
                    "print(len(blocks), sum(end - start for start, end in spans))\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="total_wait",
        difficulty="medium",
        entry_point="total_wait",
        statement="""
Write a function total_wait(customers, desks). The list customers holds pairs (arrival, duration) of
integers >= 0, ordered by arrival; desks >= 1 desks open at time 0. Customers are served in the order
of the list, each at the desk that is free the earliest, and nobody is served before arriving. Return
a tuple of the sum of all waiting times and the time at which the last service is over; for no
customers it is (0, 0).
""",
        public=(
            (([(0, 5), (1, 2), (2, 4)], 1), (9, 11)),
            (([(1, 9), (1, 2), (2, 4)], 2), (1, 10)),
        ),
        private=(
            (([], 3), (0, 0)),
            (([(7, 3)], 1), (0, 10)),
            (([(0, 4), (10, 1), (10, 1)], 1), (1, 12)),
            (([(0, 9), (1, 2), (2, 2), (3, 1)], 2), (3, 9)),
            (([(0, 10), (0, 1), (0, 1)], 3), (0, 10)),
            (([(0, 3), (0, 3), (0, 3), (0, 3)], 2), (6, 6)),
            (([(5, 0), (5, 0)], 1), (0, 5)),
            (([(0, 8), (1, 6), (2, 3), (3, 7), (4, 1), (5, 2)], 3), (8, 12)),
            (([(i, 7) for i in range(60)], 4), (1260, 108)),
        ),
        prologue="import heapq\n\n\ndef total_wait(customers, desks):\n",
        steps=(
            step(
                (
                    "Every desk is free from time 0; nobody has waited yet and the last service ended at 0.",
                    "    free = [0] * desks\n    waited = 0\n    closing = 0\n",
                ),
                (
                    "One desk is free from time 0; nobody has waited yet and the last service ended at 0.",
                    "    free = [0]\n    waited = 0\n    closing = 0\n",
                ),
                (
                    "Every desk is free from time 0; nobody has waited, and closing begins at the first arrival.",
                    "    free = [0] * desks\n    waited = 0\n    closing = customers[0][0]\n",
                ),
                (
                    "The desks 0 to desks inclusive are free from time 0; waiting and closing time begin at 0.",
                    "    free = [0] * (desks + 1)\n    waited = 0\n    closing = 0\n",
                ),
            ),
            step(
                (
                    "Pop the earliest free time; the service starts then or at the arrival, whichever is later.",
                    "    for arrival, duration in customers:\n"
                    "        start = max(arrival, heapq.heappop(free))\n",
                ),
                (
                    "Pop the earliest free time from the heap; the service of this customer starts at that time.",
                    "    for arrival, duration in customers:\n        start = heapq.heappop(free)\n",
                ),
                (
                    "Pop the free time at the end of the list; the service starts then or at the later arrival.",
                    "    for arrival, duration in customers:\n        start = max(arrival, free.pop())\n",
                ),
                (
                    "Pop the earliest free time; the service starts that long after the customer's arrival.",
                    "    for arrival, duration in customers:\n        start = arrival + heapq.heappop(free)\n",
                ),
            ),
            step(
                (
                    "The service ends one duration after its start, and at that time the desk is free again.",
                    "        end = start + duration\n        heapq.heappush(free, end)\n",
                ),
                (
                    "The service ends one duration after the arrival, and at that time the desk is free again.",
                    "        end = arrival + duration\n        heapq.heappush(free, end)\n",
                ),
                (
                    "The service ends one duration after its start; put the end in front of the free times.",
                    "        end = start + duration\n        free.insert(0, end)\n",
                ),
                (
                    "The service ends one duration after its start; push the later of this and the closing time.",
                    "        end = start + duration\n        heapq.heappush(free, max(end, closing))\n",
                ),
            ),
            step(
                (
                    "Add start minus arrival to the waiting time and let closing be the latest end; return both.",
                    "        waited += start - arrival\n        closing = max(closing, end)\n"
                    "    return waited, closing\n",
                ),
                (
                    "Add start minus arrival to the waiting time and let closing be this end; return both.",
                    "        waited += start - arrival\n        closing = end\n    return waited, closing\n",
                ),
                (
                    "Add end minus arrival to the waiting time and let closing be the latest end; return both.",
                    "        waited += end - arrival\n        closing = max(closing, end)\n"
                    "    return waited, closing\n",
                ),
                (
                    "Let waited be the longest wait up to now and closing the latest end; return both.",
                    "        waited = max(waited, start - arrival)\n        closing = max(closing, end)\n"
                    "    return waited, closing\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="heaviest_block",
        difficulty="medium",
        statement="""
The first line of the input holds three integers R, C and K (each from 1 to 50). R lines follow with C
integers each, the weights of the cells of a board; weights may be negative. Print the largest sum of
weights in a square block of K rows and K columns that lies wholly on the board. If no such block
fits, print NONE.
""",
        public=(
            ("3 3 2\n1 2 0\n3 5 1\n0 4 9\n", "19\n"),
            ("2 2 1\n4 -7\n1 3\n", "4\n"),
            ("1 1 2\n5\n", "NONE\n"),
        ),
        private=(
            ("1 1 1\n-6\n", "-6\n"),
            ("2 3 2\n1 1 8\n1 1 9\n", "19\n"),
            ("3 2 2\n9 9\n1 1\n-5 2\n", "20\n"),
            ("2 4 3\n1 2 3 4\n5 6 7 8\n", "NONE\n"),
            ("4 2 3\n1 2\n3 4\n5 6\n7 8\n", "NONE\n"),
            ("2 2 2\n-1 -2\n-3 -4\n", "-10\n"),
            ("3 3 1\n-5 -9 -4\n-3 -8 -7\n-6 -2 -12\n", "-2\n"),
            ("3 4 2\n0 5 5 0\n0 5 5 0\n0 0 0 0\n", "20\n"),
            ("3 5 3\n1 2 3 4 5\n2 3 4 5 6\n-9 0 0 1 2\n", "30\n"),
            (
                "20 30 7\n"
                + "".join(" ".join(str(r * c % 13) for c in range(30)) + "\n" for r in range(20)),
                "334\n",
            ),
        ),
        prologue="import sys\n\n",
        steps=(
            step(
                (
                    "Read all integers, take R, C and K from the front and cut the rest into rows of C numbers.",
                    "data = list(map(int, sys.stdin.read().split()))\nrows, cols, k = data[:3]\n"
                    "grid = [data[3 + r * cols : 3 + r * cols + cols] for r in range(rows)]\n",
                ),
                (
                    "Read all integers: the width, the height, K, then the rows, each as long as the width.",
                    "data = list(map(int, sys.stdin.read().split()))\ncols, rows, k = data[:3]\n"
                    "grid = [data[3 + r * cols : 3 + r * cols + cols] for r in range(rows)]\n",
                ),
                (
                    "Read all integers, R, C and K first; row r is the C numbers from place 3 + r * R on.",
                    "data = list(map(int, sys.stdin.read().split()))\nrows, cols, k = data[:3]\n"
                    "grid = [data[3 + r * rows : 3 + r * rows + cols] for r in range(rows)]\n",
                ),
                (
                    "Read R, C and K, cut the rest into rows of C, and limit K to the size of the board.",
                    "data = list(map(int, sys.stdin.read().split()))\n"
                    "rows, cols, k = data[0], data[1], min(data[:3])\n"
                    "grid = [data[3 + r * cols : 3 + r * cols + cols] for r in range(rows)]\n",
                ),
            ),
            step(
                (
                    "Build prefix sums with a zero border: the cell plus sums above and left, less the corner.",
                    "pre = [[0] * (cols + 1) for _ in range(rows + 1)]\nfor r in range(rows):\n"
                    "    for c in range(cols):\n"
                    "        pre[r + 1][c + 1] = grid[r][c] + pre[r][c + 1] + pre[r + 1][c] - pre[r][c]\n",
                ),
                (
                    "Build prefix sums with a zero border: the cell plus the sum above and the sum on the left.",
                    "pre = [[0] * (cols + 1) for _ in range(rows + 1)]\nfor r in range(rows):\n"
                    "    for c in range(cols):\n"
                    "        pre[r + 1][c + 1] = grid[r][c] + pre[r][c + 1] + pre[r + 1][c]\n",
                ),
                (
                    "Repeat one row of zeros R + 1 times, then fill in the cell plus above plus left less corner.",
                    "pre = [[0] * (cols + 1)] * (rows + 1)\nfor r in range(rows):\n"
                    "    for c in range(cols):\n"
                    "        pre[r + 1][c + 1] = grid[r][c] + pre[r][c + 1] + pre[r + 1][c] - pre[r][c]\n",
                ),
                (
                    "Build prefix sums of the positive weights with a zero border: above + left - corner.",
                    "pre = [[0] * (cols + 1) for _ in range(rows + 1)]\nfor r in range(rows):\n"
                    "    for c in range(cols):\n"
                    "        pre[r + 1][c + 1] = max(0, grid[r][c]) + pre[r][c + 1] + pre[r + 1][c] - pre[r][c]\n",
                ),
            ),
            step(
                (
                    "For every lower right corner from K to the far edge combine four prefix sums.",
                    "sums = []\nfor r in range(k, rows + 1):\n    for c in range(k, cols + 1):\n"
                    "        sums.append(pre[r][c] - pre[r - k][c] - pre[r][c - k] + pre[r - k][c - k])\n",
                ),
                (
                    "For every lower right corner from K up to R - 1 and C - 1 combine four prefix sums.",
                    "sums = []\nfor r in range(k, rows):\n    for c in range(k, cols):\n"
                    "        sums.append(pre[r][c] - pre[r - k][c] - pre[r][c - k] + pre[r - k][c - k])\n",
                ),
                (
                    "For every lower right corner from K on take the prefix sum less the parts above and left.",
                    "sums = []\nfor r in range(k, rows + 1):\n    for c in range(k, cols + 1):\n"
                    "        sums.append(pre[r][c] - pre[r - k][c] - pre[r][c - k])\n",
                ),
                (
                    "For lower right corners K apart, so that blocks tile the board, combine four prefix sums.",
                    "sums = []\nfor r in range(k, rows + 1, k):\n    for c in range(k, cols + 1, k):\n"
                    "        sums.append(pre[r][c] - pre[r - k][c] - pre[r][c - k] + pre[r - k][c - k])\n",
                ),
            ),
            step(
                (
                    "Print the largest of the collected sums, or NONE when the list is empty.",
                    'print(max(sums) if sums else "NONE")\n',
                ),
                (
                    "Print the largest of zero and the collected sums, or NONE when the list is empty.",
                    'print(max(0, *sums) if sums else "NONE")\n',
                ),
                (
                    "Print the largest sum when K is no larger than the number of rows, and NONE in other cases.",
                    'print(max(sums) if k <= rows else "NONE")\n',
                ),
                (
                    "Print the sum that is largest in absolute value, or NONE when the list is empty.",
                    'print(max(sums, key=abs) if sums else "NONE")\n',
                ),
            ),
        ),
    ),
    BankEntry(
        name="divisible_runs",
        difficulty="medium",
        entry_point="divisible_runs",
        statement="""
Write a function divisible_runs(values, m) for a list of integers and an integer m >= 1. A run is a
non-empty stretch of consecutive entries; stretches at different places are different runs even if
their entries are equal. Return how many runs have a sum that is a multiple of m, where 0 and the
negative multiples count too. An empty list has no runs. The list may have 10000 entries.
""",
        public=(
            (([3, 1, 2], 3), 3),
            (([5, 5], 10), 1),
            (([1, 1, 1], 4), 0),
        ),
        private=(
            (([], 5), 0),
            (([4], 2), 1),
            (([-3, 2, 1, 4], 3), 3),
            (([0, 0, 0], 7), 6),
            (([2, 4, 6, 8], 2), 10),
            (([7, -7, 3, 4], 7), 6),
            (([1, 2, 3, 4, 5], 1), 15),
            (([-1, 5, 2, -6, 3], 4), 4),
            (([1] * 3000, 1000), 3003),
        ),
        prologue="def divisible_runs(values, m):\n",
        steps=(
            step(
                (
                    "Count how often each prefix remainder has occurred; the empty prefix has remainder 0 once.",
                    "    seen = {0: 1}\n    running = 0\n    count = 0\n",
                ),
                (
                    "Count how often each prefix remainder has occurred; at the beginning there are none.",
                    "    seen = {}\n    running = 0\n    count = 0\n",
                ),
                (
                    "Note the empty prefix with remainder 0, and count the entries that are 0 as runs at once.",
                    "    seen = {0: 1}\n    running = 0\n    count = values.count(0)\n",
                ),
                (
                    "Count how often each prefix remainder occurs; let each of the m remainders begin with one.",
                    "    seen = dict.fromkeys(range(m), 1)\n    running = 0\n    count = 0\n",
                ),
            ),
            step(
                (
                    "Go through the values and keep the remainder of the running sum modulo m.",
                    "    for value in values:\n        running = (running + value) % m\n",
                ),
                (
                    "Go through the values and keep the running sum as it is, to compare it with earlier sums.",
                    "    for value in values:\n        running = running + value\n",
                ),
                (
                    "Go through the values and keep the remainder of the running sum of their absolute values.",
                    "    for value in values:\n        running = (running + abs(value)) % m\n",
                ),
                (
                    "Go through the values and add the remainder of each one to the running sum.",
                    "    for value in values:\n        running = running + value % m\n",
                ),
            ),
            step(
                (
                    "Each earlier prefix with the same remainder begins a run that ends here: add their number.",
                    "        count += seen.get(running, 0)\n",
                ),
                (
                    "If an earlier prefix has the same remainder, a run ends here: add one to the result.",
                    "        count += running in seen\n",
                ),
                (
                    "Each earlier prefix whose remainder completes this one to m begins a run: add their number.",
                    "        count += seen.get(m - running, 0)\n",
                ),
                (
                    "A run that ends here has remainder 0: add how many prefixes with remainder 0 came before.",
                    "        count += seen.get(0, 0) if running == 0 else 0\n",
                ),
            ),
            step(
                (
                    "Note one more prefix with this remainder; the count is the result after the last value.",
                    "        seen[running] = seen.get(running, 0) + 1\n    return count\n",
                ),
                (
                    "Note that this remainder has occurred by storing a one; return the count at the end.",
                    "        seen[running] = 1\n    return count\n",
                ),
                (
                    "Note one more prefix under the remainder of the value itself; return the count at the end.",
                    "        seen[value % m] = seen.get(value % m, 0) + 1\n    return count\n",
                ),
                (
                    "Note one more prefix, beginning from one for a new remainder; return the count at the end.",
                    "        seen[running] = seen.get(running, 1) + 1\n    return count\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="nearest_sum",
        difficulty="medium",
        entry_point="nearest_sum",
        statement="""
Write a function nearest_sum(values, target) for a list of integers in any order. Among the sums of two
entries at different positions return the one closest to target; if two sums are equally close, return
the smaller of them. Equal entries at different positions may be combined. Return None when the list
has fewer than two entries.
""",
        public=(
            (([8, 1, 5], 10), 9),
            (([4, -2, 9, 1], 6), 5),
            (([3, 6], 1), 9),
        ),
        private=(
            (([], 3), None),
            (([5], 5), None),
            (([4, 4, 20], 8), 8),
            (([1, 3, 5], 7), 6),
            (([10, 2, 30, 7], -100), 9),
            (([10, 2, 30, 7], 100), 40),
            (([-4, -9, -1], -7), -5),
            (([6, 1, 3, 2], 6), 5),
            (([20, 21, 25], 2), 41),
            (([1, 5, 9, 14, 2, 30], 27), 23),
            (([3 * i for i in range(100, 0, -1)], 301), 300),
        ),
        prologue="def nearest_sum(values, target):\n",
        steps=(
            step(
                (
                    "Without two entries there is no sum, so return None; otherwise work on a sorted copy.",
                    "    if len(values) < 2:\n        return None\n    values = sorted(values)\n",
                ),
                (
                    "Without two entries there is no sum, so return None; otherwise sort the distinct values.",
                    "    if len(values) < 2:\n        return None\n    values = sorted(set(values))\n",
                ),
                (
                    "With two or fewer entries there is no choice, so return None; else work on a sorted copy.",
                    "    if len(values) <= 2:\n        return None\n    values = sorted(values)\n",
                ),
                (
                    "Without two entries there is no sum, so return None; otherwise go over the values as given.",
                    "    if len(values) < 2:\n        return None\n    values = list(values)\n",
                ),
            ),
            step(
                (
                    "Point at the smallest and the largest entry, and take their sum as the best so far.",
                    "    lo, hi = 0, len(values) - 1\n    best = values[lo] + values[hi]\n",
                ),
                (
                    "Point at the smallest and the largest entry, and begin with 0 as the best sum so far.",
                    "    lo, hi = 0, len(values) - 1\n    best = 0\n",
                ),
                (
                    "Point at the smallest entry and at the last but one, and take their sum as the best so far.",
                    "    lo, hi = 0, len(values) - 2\n    best = values[lo] + values[hi]\n",
                ),
                (
                    "Point at the two smallest entries, and take their sum as the best so far.",
                    "    lo, hi = 0, 1\n    best = values[lo] + values[hi]\n",
                ),
            ),
            step(
                (
                    "Until the pointers meet, replace best by a sum that is closer, or as close and smaller.",
                    "    while lo < hi:\n        total = values[lo] + values[hi]\n"
                    "        if (abs(total - target), total) < (abs(best - target), best):\n"
                    "            best = total\n",
                ),
                (
                    "Until the pointers meet, replace best by any sum whose distance to the target is smaller.",
                    "    while lo < hi:\n        total = values[lo] + values[hi]\n"
                    "        if abs(total - target) < abs(best - target):\n            best = total\n",
                ),
                (
                    "Until the pointers cross, replace best by a sum that is closer, or as close and smaller.",
                    "    while lo <= hi:\n        total = values[lo] + values[hi]\n"
                    "        if (abs(total - target), total) < (abs(best - target), best):\n"
                    "            best = total\n",
                ),
                (
                    "Until the pointers meet, replace best by a larger sum that does not pass the target.",
                    "    while lo < hi:\n        total = values[lo] + values[hi]\n"
                    "        if best < total <= target:\n            best = total\n",
                ),
            ),
            step(
                (
                    "A sum below the target moves the left pointer up, any other the right one down; return best.",
                    "        if total < target:\n            lo += 1\n        else:\n            hi -= 1\n"
                    "    return best\n",
                ),
                (
                    "A sum below the target moves the right pointer down, any other the left one up; return best.",
                    "        if total < target:\n            hi -= 1\n        else:\n            lo += 1\n"
                    "    return best\n",
                ),
                (
                    "After each comparison move both pointers one place towards the middle; return best.",
                    "        lo += 1\n        hi -= 1\n    return best\n",
                ),
                (
                    "A sum below the best moves the left pointer up, any other the right one down; return best.",
                    "        if total < best:\n            lo += 1\n        else:\n            hi -= 1\n"
                    "    return best\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="league_table",
        difficulty="easy",
        statement="""
The first line of the input is n (1 to 200); each of the next n lines holds the name of a team (letters
only, all names different) and its points, an integer that may be negative. Print one line "rank name
points" per team, most points first and teams with equal points in alphabetical order. Teams with
equal points share a rank, and the rank of a team is one more than the number of teams with more
points, so that after two teams on rank 1 comes rank 3.
""",
        public=(
            ("3\nelks 4\nbears 12\ncrows 4\n", "1 bears 12\n2 crows 4\n2 elks 4\n"),
            ("4\nants 6\nowls 9\nyaks 2\nbats 9\n", "1 bats 9\n1 owls 9\n3 ants 6\n4 yaks 2\n"),
        ),
        private=(
            ("1\nfoxes 0\n", "1 foxes 0\n"),
            ("2\nb 7\na 7\n", "1 a 7\n1 b 7\n"),
            ("3\np -2\nq 0\nr -10\n", "1 q 0\n2 p -2\n3 r -10\n"),
            ("5\ne 3\nd 3\nc 3\nb 8\na 1\n", "1 b 8\n2 c 3\n2 d 3\n2 e 3\n5 a 1\n"),
            ("3\nant 9\nbee 10\ncow 100\n", "1 cow 100\n2 bee 10\n3 ant 9\n"),
            ("4\nz 1\ny 2\nx 3\nw 4\n", "1 w 4\n2 x 3\n3 y 2\n4 z 1\n"),
            ("4\nu 5\nv 5\nw 4\nx 4\n", "1 u 5\n1 v 5\n3 w 4\n3 x 4\n"),
            ("6\na 2\nb 2\nc 2\nd 2\ne 1\nf 1\n", "1 a 2\n1 b 2\n1 c 2\n1 d 2\n5 e 1\n5 f 1\n"),
        ),
        prologue="import sys\n\n",
        steps=(
            step(
                (
                    "Split the input into words, skip the count and pair each name with its points as an integer.",
                    "words = sys.stdin.read().split()\n"
                    "table = [(words[i], int(words[i + 1])) for i in range(1, len(words), 2)]\n",
                ),
                (
                    "Split the input into words, skip the count and pair each name with its points as they stand.",
                    "words = sys.stdin.read().split()\n"
                    "table = [(words[i], words[i + 1]) for i in range(1, len(words), 2)]\n",
                ),
                (
                    "Split the input into words and collect the names by their points, in a mapping of integers.",
                    "words = sys.stdin.read().split()\n"
                    "names = {int(words[i + 1]): words[i] for i in range(1, len(words), 2)}\n"
                    "table = [(name, points) for points, name in names.items()]\n",
                ),
                (
                    "Split the input into words, skip the count and pair each name with the size of its points.",
                    "words = sys.stdin.read().split()\n"
                    "table = [(words[i], abs(int(words[i + 1]))) for i in range(1, len(words), 2)]\n",
                ),
            ),
            step(
                (
                    "Sort by name first, then by points from high to low; the stable sort leaves ties by name.",
                    "table.sort(key=lambda row: row[0])\ntable.sort(key=lambda row: row[1], reverse=True)\n",
                ),
                (
                    "Sort once by the pair of points and name, in reverse so that the highest points come first.",
                    "table.sort(key=lambda row: (row[1], row[0]), reverse=True)\n",
                ),
                (
                    "Sort by points from high to low; teams with equal points stay as they were entered.",
                    "table.sort(key=lambda row: row[1], reverse=True)\n",
                ),
                (
                    "Sort by points from high to low first, then by name with a second, stable sort.",
                    "table.sort(key=lambda row: row[1], reverse=True)\ntable.sort(key=lambda row: row[0])\n",
                ),
            ),
            step(
                (
                    "Number the places from 1; a team from 2 on is tied if the one before has its points.",
                    "ranks = []\nfor place, (name, points) in enumerate(table, 1):\n"
                    "    tied = place > 1 and table[place - 2][1] == points\n",
                ),
                (
                    "Number the places from 1; a team from 2 on is tied if it has the points of the leader.",
                    "ranks = []\nfor place, (name, points) in enumerate(table, 1):\n"
                    "    tied = place > 1 and table[0][1] == points\n",
                ),
                (
                    "Number the places from 1; a team is tied if the entry before it has its points.",
                    "ranks = []\nfor place, (name, points) in enumerate(table, 1):\n"
                    "    tied = table[place - 2][1] == points\n",
                ),
                (
                    "Number the places from 1; a team from 2 on is tied if the one after has its points.",
                    "ranks = []\nfor place, (name, points) in enumerate(table, 1):\n"
                    "    tied = 1 < place < len(table) and table[place][1] == points\n",
                ),
            ),
            step(
                (
                    "A tied team takes the rank given last, any other its place; print rank, name and points.",
                    "    ranks.append(ranks[-1] if tied else place)\n    print(ranks[-1], name, points)\n",
                ),
                (
                    "A tied team takes the place before its own, others their own; print rank, name and points.",
                    "    ranks.append(place - 1 if tied else place)\n    print(ranks[-1], name, points)\n",
                ),
                (
                    "A tied team takes the number of ranks in use, others one more; print rank, name, points.",
                    "    ranks.append(len(set(ranks)) + (0 if tied else 1))\n"
                    "    print(ranks[-1], name, points)\n",
                ),
                (
                    "Every team takes its own place in the sorted table as rank; print rank, name and points.",
                    "    ranks.append(place)\n    print(ranks[-1], name, points)\n",
                ),
            ),
        ),
    ),
)
