"""Bank problems on grids, graphs, trees and dynamic programming."""

from __future__ import annotations

from codeprm_jax.problems.bank.entry import BankEntry, step

ENTRIES: tuple[BankEntry, ...] = (
    BankEntry(
        name="flood_time",
        difficulty="medium",
        entry_point="flood_time",
        statement="""
Write a function flood_time(grid) for a list of strings of equal length, made of "~" (water), "."
(dry ground) and "#" (wall). Every minute the water flows from each wet cell into the dry ground
directly above, below, left and right of it. Return the number of minutes until no dry ground is left:
0 if there is none in the first place (an empty grid included), and -1 if some ground stays dry forever.
""",
        public=(
            ((["~..", ".#.", "..."],), 4),
            ((["~#."],), -1),
            (([".~...", "....~"],), 2),
        ),
        private=(
            (([],), 0),
            ((["##", "#~"],), 0),
            ((["#"],), 0),
            ((["..", ".."],), -1),
            ((["~.#", "###", "#.~"],), 1),
            ((["~#", "#."],), -1),
            ((["#####", "#~..#", "#.#.#", "#...#", "#####"],), 4),
            ((["~.....", "####.#", "......", ".#####", "......"],), 17),
            ((["...", ".~.", "..."],), 2),
            ((["." * 30 + "~" + "." * 10] * 3,), 30),
        ),
        prologue="from collections import deque\n\n\ndef flood_time(grid):\n",
        steps=(
            step(
                (
                    "Put every water cell into a queue and note that it has been wet since minute 0.",
                    "    queue = deque()\n    wet = {}\n    for r, row in enumerate(grid):\n"
                    '        for c, ch in enumerate(row):\n            if ch == "~":\n'
                    "                queue.append((r, c))\n                wet[r, c] = 0\n",
                ),
                (
                    "Put the first water cell that is found into a queue and note that it is wet since minute 0.",
                    "    queue = deque()\n    wet = {}\n    for r, row in enumerate(grid):\n"
                    '        for c, ch in enumerate(row):\n            if ch == "~" and not queue:\n'
                    "                queue.append((r, c))\n                wet[r, c] = 0\n",
                ),
                (
                    "Put every water cell into a queue and note minute 1 for it, the minute in which it flows.",
                    "    queue = deque()\n    wet = {}\n    for r, row in enumerate(grid):\n"
                    '        for c, ch in enumerate(row):\n            if ch == "~":\n'
                    "                queue.append((r, c))\n                wet[r, c] = 1\n",
                ),
                (
                    "Put every water cell into a queue and note for it the number of its row as the minute.",
                    "    queue = deque()\n    wet = {}\n    for r, row in enumerate(grid):\n"
                    '        for c, ch in enumerate(row):\n            if ch == "~":\n'
                    "                queue.append((r, c))\n                wet[r, c] = r\n",
                ),
            ),
            step(
                (
                    "Take the oldest cell from the queue and look at the four cells beside it.",
                    "    while queue:\n        r, c = queue.popleft()\n"
                    "        for y, x in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)):\n",
                ),
                (
                    "Take the newest cell from the queue and look at the four cells beside it.",
                    "    while queue:\n        r, c = queue.pop()\n"
                    "        for y, x in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)):\n",
                ),
                (
                    "Take the oldest cell from the queue and look at the cells below, left and right of it.",
                    "    while queue:\n        r, c = queue.popleft()\n"
                    "        for y, x in ((r + 1, c), (r, c - 1), (r, c + 1)):\n",
                ),
                (
                    "Take the oldest cell from the queue and look at all the cells of the square around it.",
                    "    while queue:\n        r, c = queue.popleft()\n"
                    "        for y, x in ((r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1)):\n",
                ),
            ),
            step(
                (
                    "Dry ground inside the grid that is new gets wet one minute later and joins the queue.",
                    "            inside = 0 <= y < len(grid) and 0 <= x < len(grid[0])\n"
                    '            if inside and grid[y][x] == "." and (y, x) not in wet:\n'
                    "                wet[y, x] = wet[r, c] + 1\n                queue.append((y, x))\n",
                ),
                (
                    "Any cell inside the grid that is new gets wet one minute later and joins the queue.",
                    "            inside = 0 <= y < len(grid) and 0 <= x < len(grid[0])\n"
                    "            if inside and (y, x) not in wet:\n"
                    "                wet[y, x] = wet[r, c] + 1\n                queue.append((y, x))\n",
                ),
                (
                    "New dry ground before the far edges gets wet one minute later and joins the queue.",
                    "            inside = y < len(grid) and x < len(grid[0])\n"
                    '            if inside and grid[y][x] == "." and (y, x) not in wet:\n'
                    "                wet[y, x] = wet[r, c] + 1\n                queue.append((y, x))\n",
                ),
                (
                    "New dry ground inside gets wet a minute after the latest wet cell and joins the queue.",
                    "            inside = 0 <= y < len(grid) and 0 <= x < len(grid[0])\n"
                    '            if inside and grid[y][x] == "." and (y, x) not in wet:\n'
                    "                wet[y, x] = max(wet.values()) + 1\n"
                    "                queue.append((y, x))\n",
                ),
            ),
            step(
                (
                    "If as many cells are wet as are not walls, return the latest minute or 0, otherwise -1.",
                    '    ground = sum(len(row) - row.count("#") for row in grid)\n'
                    "    return max(wet.values(), default=0) if len(wet) == ground else -1\n",
                ),
                (
                    "If as many cells are wet as the grid has, return the latest minute or 0, otherwise -1.",
                    "    ground = sum(len(row) for row in grid)\n"
                    "    return max(wet.values(), default=0) if len(wet) == ground else -1\n",
                ),
                (
                    "If any cell is wet, return the latest minute, and -1 when the grid has no water at all.",
                    '    ground = sum(row.count("~") for row in grid)\n'
                    "    return max(wet.values()) if ground else -1\n",
                ),
                (
                    "If as many cells are wet as are not walls, return the largest minute noted, otherwise -1.",
                    '    ground = sum(len(row) - row.count("#") for row in grid)\n'
                    "    return max(wet.values()) if len(wet) == ground else -1\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="spare_cables",
        difficulty="medium",
        statement="""
The first line of the input holds the number of stations n (1 to 1000) and of cables m (0 to 5000);
each of the next m lines holds two station numbers from 1 to n that a cable joins, in the order in which
the cables were laid. A cable is spare if its two ends were already connected, directly or through other
stations, when it was laid; so is a cable from a station to itself. Print the number of spare cables and
the smallest number of further cables that would connect all the stations, separated by a space.
""",
        public=(
            ("4 3\n1 2\n2 3\n1 3\n", "1 1\n"),
            ("5 2\n4 5\n1 2\n", "0 2\n"),
        ),
        private=(
            ("1 0\n", "0 0\n"),
            ("3 0\n", "0 2\n"),
            ("4 4\n1 2\n1 3\n1 4\n2 3\n", "1 0\n"),
            ("2 1\n1 2\n", "0 0\n"),
            ("2 3\n1 1\n2 1\n1 2\n", "2 0\n"),
            ("6 6\n1 2\n3 4\n2 4\n1 3\n5 6\n6 5\n", "2 1\n"),
            ("5 5\n1 2\n2 3\n3 4\n4 5\n5 1\n", "1 0\n"),
            ("7 5\n7 6\n6 5\n7 5\n1 2\n2 7\n", "1 2\n"),
            ("8 7\n1 2\n3 4\n5 6\n7 8\n2 3\n6 7\n1 4\n", "1 1\n"),
            ("100 99\n" + "".join(f"{i + 1} {i}\n" for i in range(1, 100)), "0 0\n"),
        ),
        prologue="import sys\n\n",
        steps=(
            step(
                (
                    "Read all integers, n and m first; every station from 0 to n is its own parent.",
                    "data = list(map(int, sys.stdin.read().split()))\nn, m = data[:2]\n"
                    "parent = list(range(n + 1))\n",
                ),
                (
                    "Read all integers; the largest station at a cable is n. Every station is its own parent.",
                    "data = list(map(int, sys.stdin.read().split()))\n"
                    "n, m = max(data[2:], default=1), data[1]\nparent = list(range(n + 1))\n",
                ),
                (
                    "Read all integers; n - 1 cables are enough to look at. Every station is its own parent.",
                    "data = list(map(int, sys.stdin.read().split()))\n"
                    "n, m = data[0], min(data[1], data[0] - 1)\nparent = list(range(n + 1))\n",
                ),
                (
                    "Read all integers, n and m first; stations with a cable are their own parent, others have 0.",
                    "data = list(map(int, sys.stdin.read().split()))\nn, m = data[:2]\n"
                    "parent = [x if x in data[2:] else 0 for x in range(n + 1)]\n",
                ),
            ),
            step(
                (
                    "The representative is found by following parents up to one that is its own parent.",
                    "def find(x):\n    while parent[x] != x:\n        x = parent[x]\n    return x\n",
                ),
                (
                    "The representative is the parent that is stored for the station, which is itself at first.",
                    "def find(x):\n    if parent[x] != x:\n        x = parent[x]\n    return x\n",
                ),
                (
                    "The representative is the parent of the parent, which is the station itself at first.",
                    "def find(x):\n    if parent[x] != x:\n        x = parent[parent[x]]\n    return x\n",
                ),
                (
                    "The representative is found by following parents as long as their numbers grow.",
                    "def find(x):\n    while parent[x] > x:\n        x = parent[x]\n    return x\n",
                ),
            ),
            step(
                (
                    "For each cable find both representatives; count it if they are equal, else join them.",
                    "spare = 0\nfor i in range(m):\n    a, b = find(data[2 + 2 * i]), find(data[3 + 2 * i])\n"
                    "    spare += a == b\n    parent[a] = b\n",
                ),
                (
                    "For each cable take its two stations; count it if they share a parent, else join them.",
                    "spare = 0\nfor i in range(m):\n    a, b = data[2 + 2 * i], data[3 + 2 * i]\n"
                    "    spare += parent[a] == parent[b]\n    parent[a] = b\n",
                ),
                (
                    "For each cable find both representatives; count it if equal, and move its first station.",
                    "spare = 0\nfor i in range(m):\n    a, b = find(data[2 + 2 * i]), find(data[3 + 2 * i])\n"
                    "    spare += a == b\n    parent[data[2 + 2 * i]] = b\n",
                ),
                (
                    "For each cable from the second on find both representatives; count equal ones, else join.",
                    "spare = 0\nfor i in range(1, m):\n"
                    "    a, b = find(data[2 + 2 * i]), find(data[3 + 2 * i])\n    spare += a == b\n"
                    "    parent[a] = b\n",
                ),
            ),
            step(
                (
                    "Stations that are their own parent stand for groups; one cable fewer is missing.",
                    "groups = sum(parent[x] == x for x in range(1, n + 1))\nprint(spare, groups - 1)\n",
                ),
                (
                    "Stations that are their own parent stand for groups; spare cables close gaps as well.",
                    "groups = sum(parent[x] == x for x in range(1, n + 1))\n"
                    "print(spare, max(0, groups - 1 - spare))\n",
                ),
                (
                    "A network of n stations takes n - 1 cables; print how many more than m that is, or zero.",
                    "groups = max(n - m, 1)\nprint(spare, groups - 1)\n",
                ),
                (
                    "Stations from 1 to n - 1 that are their own parent stand for groups; one fewer is missing.",
                    "groups = sum(parent[x] == x for x in range(1, n))\nprint(spare, groups - 1)\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="launch_waves",
        difficulty="medium",
        entry_point="launch_waves",
        statement="""
Write a function launch_waves(count, needs). Tasks are numbered 0 to count - 1, and needs is a list of
pairs (task, before), possibly with repetitions, that say that before has to be finished when task
starts. Work goes in waves: the first wave has all tasks that need nothing, every later wave all
tasks whose needs were finished in earlier waves. Return the list of waves, each an ascending list of
task numbers, or None if some task can never start. For count = 0 the result is an empty list.
""",
        public=(
            ((3, [(2, 0), (1, 2)]), [[0], [2], [1]]),
            ((2, [(0, 1), (1, 0)]), None),
            ((4, [(3, 1), (3, 2)]), [[0, 1, 2], [3]]),
        ),
        private=(
            ((0, []), []),
            ((1, []), [[0]]),
            ((1, [(0, 0)]), None),
            ((3, []), [[0, 1, 2]]),
            ((4, [(1, 0), (2, 0), (3, 1), (3, 2)]), [[0], [1, 2], [3]]),
            ((5, [(4, 0), (2, 1), (3, 4)]), [[0, 1], [2, 4], [3]]),
            ((4, [(1, 0), (1, 0), (2, 1), (3, 0)]), [[0], [1, 3], [2]]),
            ((4, [(1, 0), (2, 1), (3, 2), (1, 3)]), None),
            ((5, [(1, 0), (2, 3), (3, 2)]), None),
            ((5, [(4, 0), (4, 3), (3, 0), (1, 0)]), [[0, 2], [1, 3], [4]]),
            ((6, [(3, 2), (3, 1), (5, 3), (4, 1), (0, 4)]), [[1, 2], [3, 4], [0, 5]]),
            ((40, [(i, i - 1) for i in range(1, 40)]), [[i] for i in range(40)]),
        ),
        prologue="def launch_waves(count, needs):\n",
        steps=(
            step(
                (
                    "Count the needs every task waits for, and list under every task those that follow it.",
                    "    waiting = [0] * count\n    followers = [[] for _ in range(count)]\n"
                    "    for task, before in needs:\n        waiting[task] += 1\n"
                    "        followers[before].append(task)\n",
                ),
                (
                    "Count how many tasks wait for every task, and list under every task those it needs.",
                    "    waiting = [0] * count\n    followers = [[] for _ in range(count)]\n"
                    "    for task, before in needs:\n        waiting[before] += 1\n"
                    "        followers[task].append(before)\n",
                ),
                (
                    "Count the needs every task waits for, and list each follower of a task a single time.",
                    "    waiting = [0] * count\n    followers = [[] for _ in range(count)]\n"
                    "    for task, before in needs:\n        waiting[task] += 1\n"
                    "        if task not in followers[before]:\n            followers[before].append(task)\n",
                ),
                (
                    "Mark every task that has needs with a one, and list under every task those that follow it.",
                    "    waiting = [0] * count\n    followers = [[] for _ in range(count)]\n"
                    "    for task, before in needs:\n        waiting[task] = 1\n"
                    "        followers[before].append(task)\n",
                ),
            ),
            step(
                (
                    "The first wave consists of all tasks that wait for nothing; no wave is in the list yet.",
                    "    wave = [task for task in range(count) if waiting[task] == 0]\n    waves = []\n",
                ),
                (
                    "The first wave consists of all tasks with at most one need; no wave is in the list yet.",
                    "    wave = [task for task in range(count) if waiting[task] <= 1]\n    waves = []\n",
                ),
                (
                    "The first wave is the smallest task that waits for nothing; no wave is in the list yet.",
                    "    wave = [task for task in range(count) if waiting[task] == 0][:1]\n    waves = []\n",
                ),
                (
                    "The first wave has the tasks that wait for nothing and have followers; no wave is listed.",
                    "    wave = [task for task in range(count) if waiting[task] == 0 and followers[task]]\n"
                    "    waves = []\n",
                ),
            ),
            step(
                (
                    "Add the sorted wave to the list; each follower of its tasks waits for one need less.",
                    "    while wave:\n        waves.append(sorted(wave))\n        ready = []\n"
                    "        for before in wave:\n            for task in followers[before]:\n"
                    "                waiting[task] -= 1\n",
                ),
                (
                    "Add the wave as it was collected; each follower of its tasks waits for one need less.",
                    "    while wave:\n        waves.append(wave)\n        ready = []\n"
                    "        for before in wave:\n            for task in followers[before]:\n"
                    "                waiting[task] -= 1\n",
                ),
                (
                    "Add the sorted wave to the list; followers of the first wave wait for one need less.",
                    "    while wave:\n        waves.append(sorted(wave))\n        ready = []\n"
                    "        for before in waves[0]:\n            for task in followers[before]:\n"
                    "                waiting[task] -= 1\n",
                ),
                (
                    "Add the sorted wave to the list; the first follower of a task waits for one need less.",
                    "    while wave:\n        waves.append(sorted(wave))\n        ready = []\n"
                    "        for before in wave:\n            for task in followers[before][:1]:\n"
                    "                waiting[task] -= 1\n",
                ),
            ),
            step(
                (
                    "A follower without open needs is in the next wave. Return the waves if they hold all tasks.",
                    "                if waiting[task] == 0:\n                    ready.append(task)\n"
                    "        wave = ready\n    return waves if sum(map(len, waves)) == count else None\n",
                ),
                (
                    "A follower without open needs is in the next wave. Return the waves if there are any.",
                    "                if waiting[task] == 0:\n                    ready.append(task)\n"
                    "        wave = ready\n    return waves if waves else None\n",
                ),
                (
                    "A follower with one open need or none is next. Return the waves if they hold all tasks.",
                    "                if waiting[task] in (0, 1):\n                    ready.append(task)\n"
                    "        wave = ready\n    return waves if sum(map(len, waves)) == count else None\n",
                ),
                (
                    "A follower without open needs is next. Return None if there are needs but under two waves.",
                    "                if waiting[task] == 0:\n                    ready.append(task)\n"
                    "        wave = ready\n    return waves if len(waves) > 1 or not needs else None\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="longest_route",
        difficulty="medium",
        entry_point="longest_route",
        statement="""
Write a function longest_route(count, roads). The towns of an island are numbered 0 to count - 1
(count >= 1), and roads is a list of triples (a, b, length) of two different towns and a positive
integer; roads are used in both directions and never form a circle. Return the largest distance by
road between any two towns, 0 for a single town, and -1 if some town cannot be reached from the others.
""",
        public=(
            ((4, [(0, 1, 5), (1, 2, 3), (1, 3, 4)]), 9),
            ((3, [(2, 0, 1), (0, 1, 1)]), 2),
            ((2, []), -1),
        ),
        private=(
            ((1, []), 0),
            ((2, [(1, 0, 7)]), 7),
            ((4, [(0, 1, 2), (2, 3, 4)]), -1),
            ((5, [(0, 1, 1), (1, 2, 9), (1, 3, 8), (3, 4, 1)]), 18),
            ((5, [(4, 3, 2), (3, 2, 2), (2, 1, 2), (1, 0, 2)]), 8),
            ((6, [(0, 1, 10), (0, 2, 1), (2, 3, 1), (3, 4, 1), (0, 5, 2)]), 13),
            ((6, [(0, 1, 3), (1, 2, 6), (1, 3, 2), (3, 4, 5), (3, 5, 1)]), 13),
            ((4, [(3, 0, 4), (3, 1, 4), (3, 2, 5)]), 9),
            ((200, [(i, i // 2, 2) for i in range(1, 200)]), 28),
        ),
        prologue="def longest_route(count, roads):\n",
        steps=(
            step(
                (
                    "Give every town a list of its own and enter each road with its length on both sides.",
                    "    near = [[] for _ in range(count)]\n    for a, b, length in roads:\n"
                    "        near[a].append((b, length))\n        near[b].append((a, length))\n",
                ),
                (
                    "Give every town a list of its own and enter each road with its length at the first town.",
                    "    near = [[] for _ in range(count)]\n    for a, b, length in roads:\n"
                    "        near[a].append((b, length))\n",
                ),
                (
                    "Repeat one empty list for all the towns and enter each road with its length on both sides.",
                    "    near = [[]] * count\n    for a, b, length in roads:\n"
                    "        near[a].append((b, length))\n        near[b].append((a, length))\n",
                ),
                (
                    "Give every town a list and enter each road on both sides, with its length there and 1 back.",
                    "    near = [[] for _ in range(count)]\n    for a, b, length in roads:\n"
                    "        near[a].append((b, length))\n        near[b].append((a, 1))\n",
                ),
            ),
            step(
                (
                    "From a start at distance 0 visit new neighbours, each a road's length further than the town.",
                    "    def walk(start):\n        dist = {start: 0}\n        stack = [start]\n"
                    "        while stack:\n            town = stack.pop()\n"
                    "            for other, length in near[town]:\n                if other not in dist:\n"
                    "                    dist[other] = dist[town] + length\n"
                    "                    stack.append(other)\n",
                ),
                (
                    "From a start at distance 0 visit new neighbours, each one road further than the town.",
                    "    def walk(start):\n        dist = {start: 0}\n        stack = [start]\n"
                    "        while stack:\n            town = stack.pop()\n"
                    "            for other, length in near[town]:\n                if other not in dist:\n"
                    "                    dist[other] = dist[town] + 1\n"
                    "                    stack.append(other)\n",
                ),
                (
                    "From a start at distance 0 visit new neighbours, each at the longest road on the way.",
                    "    def walk(start):\n        dist = {start: 0}\n        stack = [start]\n"
                    "        while stack:\n            town = stack.pop()\n"
                    "            for other, length in near[town]:\n                if other not in dist:\n"
                    "                    dist[other] = max(dist[town], length)\n"
                    "                    stack.append(other)\n",
                ),
                (
                    "From a start at distance 0 visit the new neighbours that have roads leading further out.",
                    "    def walk(start):\n        dist = {start: 0}\n        stack = [start]\n"
                    "        while stack:\n            town = stack.pop()\n"
                    "            for other, length in near[town]:\n"
                    "                if other not in dist and len(near[other]) > 1:\n"
                    "                    dist[other] = dist[town] + length\n"
                    "                    stack.append(other)\n",
                ),
            ),
            step(
                (
                    "A walk yields the town with the largest distance, together with all the distances.",
                    "        return max(dist, key=dist.get), dist\n",
                ),
                (
                    "A walk yields the town that left the stack last, together with all the distances.",
                    "        return town, dist\n",
                ),
                (
                    "A walk yields the reached town with the highest number, together with all the distances.",
                    "        return max(dist), dist\n",
                ),
                (
                    "A walk yields the town that was reached last, together with all the distances.",
                    "        return list(dist)[-1], dist\n",
                ),
            ),
            step(
                (
                    "Walk from town 0; return -1 if a town is not reached, else walk again from the farthest.",
                    "    end, dist = walk(0)\n    if len(dist) < count:\n        return -1\n"
                    "    return max(walk(end)[1].values())\n",
                ),
                (
                    "Walk from town 0; return -1 if a town is not reached, else the largest distance found.",
                    "    end, dist = walk(0)\n    if len(dist) < count:\n        return -1\n"
                    "    return max(dist.values())\n",
                ),
                (
                    "Walk from town 0; return -1 if a town is not reached, else add the two largest distances.",
                    "    end, dist = walk(0)\n    if len(dist) < count:\n        return -1\n"
                    "    return sum(sorted(dist.values())[-2:])\n",
                ),
                (
                    "Walk from town 0; return -1 if only that is reached, else walk again from the farthest.",
                    "    end, dist = walk(0)\n    if len(dist) == 1:\n        return -1\n"
                    "    return max(walk(end)[1].values())\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="full_truck",
        difficulty="medium",
        entry_point="full_truck",
        statement="""
Write a function full_truck(items, capacity). The list items holds pairs (weight, value) with integers
weight >= 1 and value >= 0; each item can be loaded at most once, and capacity is an integer >= 0.
Return the largest total value of a load whose weights add up to exactly capacity, or None if no load
does. The empty load has weight 0 and value 0.
""",
        public=(
            (([(2, 3), (3, 4), (5, 6)], 5), 7),
            (([(3, 9), (4, 2)], 6), None),
            (([(1, 5), (2, 1), (4, 9)], 3), 6),
        ),
        private=(
            (([], 0), 0),
            (([], 4), None),
            (([(2, 5)], 4), None),
            (([(4, 0)], 4), 0),
            (([(1, 10), (5, 1)], 5), 1),
            (([(2, 7), (2, 6), (2, 5)], 4), 13),
            (([(3, 8), (1, 1), (2, 2), (4, 3)], 4), 9),
            (([(6, 50), (1, 9), (2, 3), (3, 3)], 6), 50),
            (([(6, 4), (1, 9), (2, 3), (3, 3)], 6), 15),
            (([(7, 3), (5, 8)], 0), 0),
            (([(w, w * w % 11) for w in range(1, 25)], 60), 50),
        ),
        prologue="def full_truck(items, capacity):\n",
        steps=(
            step(
                (
                    "Let best[load] be the top value for exactly that load: 0 for load 0, else minus infinity.",
                    '    best = [0] + [float("-inf")] * capacity\n',
                ),
                (
                    "Let best[load] be the top value for that load, beginning with 0 for all up to capacity.",
                    "    best = [0] * (capacity + 1)\n",
                ),
                (
                    "Let best[load] be the top value for exactly that load: 0 for load 0, and -1 for the others.",
                    "    best = [0] + [-1] * capacity\n",
                ),
                (
                    "Let best[load] be the top value for exactly that load: at first minus infinity everywhere.",
                    '    best = [float("-inf")] * (capacity + 1)\n',
                ),
            ),
            step(
                (
                    "Take the items one by one and go through the loads from capacity down to the item's weight.",
                    "    for weight, value in items:\n        for load in range(capacity, weight - 1, -1):\n",
                ),
                (
                    "Take the items one by one and go through the loads from the item's weight up to capacity.",
                    "    for weight, value in items:\n        for load in range(weight, capacity + 1):\n",
                ),
                (
                    "Take the items one by one and go from capacity down to just above the item's weight.",
                    "    for weight, value in items:\n        for load in range(capacity, weight, -1):\n",
                ),
                (
                    "Take the items from heavy to light, and for each go from capacity down to twice its weight.",
                    "    for weight, value in sorted(items, reverse=True):\n"
                    "        for load in range(capacity, 2 * weight - 1, -1):\n",
                ),
            ),
            step(
                (
                    "Keep the better of leaving the item and adding its value to the load without its weight.",
                    "            best[load] = max(best[load], best[load - weight] + value)\n",
                ),
                (
                    "Replace the entry by the item's value plus the best value of the load without its weight.",
                    "            best[load] = best[load - weight] + value\n",
                ),
                (
                    "Keep the best of leaving the item, taking it, and the entry for a load that is one smaller.",
                    "            best[load] = max(best[load], best[load - weight] + value, best[load - 1])\n",
                ),
                (
                    "Fill an entry that is not above 0 with the item's value plus the load without its weight.",
                    "            best[load] = best[load] if best[load] > 0 else best[load - weight] + value\n",
                ),
            ),
            step(
                (
                    "Return the entry for capacity if it is at least 0, so that a load reached it; else None.",
                    "    return best[capacity] if best[capacity] >= 0 else None\n",
                ),
                (
                    "Return the entry for capacity if it is above 0, so that a load reached it; else None.",
                    "    return best[capacity] if best[capacity] > 0 else None\n",
                ),
                (
                    "Return the largest of all the entries if it is at least 0, and None in all other cases.",
                    "    return max(best) if max(best) >= 0 else None\n",
                ),
                (
                    "Return the entry for capacity whenever there are items to load, else None.",
                    "    return best[capacity] if items else None\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="cheapest_descent",
        difficulty="easy",
        statement="""
The first line of the input holds two integers R and C (each from 1 to 100); R lines with C integers each
follow, the toll of every field of a slope, which is a bonus where it is negative. A skier begins on any
field of the top row and moves from row to row to the field straight below or to one of the two fields
diagonally next to that, never leaving the slope, down to the bottom row. Print the smallest possible
sum of the tolls of all fields visited, top and bottom included.
""",
        public=(
            ("3 3\n1 5 9\n8 1 7\n6 4 2\n", "4\n"),
            ("2 2\n3 8\n5 1\n", "4\n"),
            ("2 3\n9 4 7\n3 6 8\n", "7\n"),
        ),
        private=(
            ("1 1\n7\n", "7\n"),
            ("1 4\n3 -2 5 0\n", "-2\n"),
            ("4 1\n1\n2\n-3\n4\n", "4\n"),
            ("2 3\n1 9 9\n9 9 1\n", "10\n"),
            ("3 2\n5 1\n1 5\n5 1\n", "3\n"),
            ("3 4\n9 9 9 1\n9 9 1 9\n9 1 9 9\n", "3\n"),
            ("3 4\n1 1 1 9\n9 9 9 2\n5 5 -8 5\n", "-5\n"),
            ("4 3\n2 1 3\n9 9 1\n9 9 9\n-5 9 9\n", "6\n"),
            ("3 5\n1 9 9 9 9\n9 9 9 9 9\n9 9 9 9 1\n", "19\n"),
            ("2 3\n0 6 2\n4 1 5\n", "1\n"),
            (
                "30 20\n"
                + "".join(
                    " ".join(str((r * 7 + c * c * 5) % 23 - 3) for c in range(20)) + "\n"
                    for r in range(30)
                ),
                "46\n",
            ),
        ),
        prologue="import sys\n\n",
        steps=(
            step(
                (
                    "Read all integers; after R and C the rest is cut into R rows of C numbers each.",
                    "data = list(map(int, sys.stdin.read().split()))\nrows, cols = data[:2]\n"
                    "grid = [data[2 + r * cols : 2 + (r + 1) * cols] for r in range(rows)]\n",
                ),
                (
                    "Read all integers; the first two are the width and the height, the rest is cut into rows.",
                    "data = list(map(int, sys.stdin.read().split()))\ncols, rows = data[:2]\n"
                    "grid = [data[2 + r * cols : 2 + (r + 1) * cols] for r in range(rows)]\n",
                ),
                (
                    "Read all integers, taking 0 for those below zero; after R and C the rest is cut into rows.",
                    "data = [max(0, int(word)) for word in sys.stdin.read().split()]\nrows, cols = data[:2]\n"
                    "grid = [data[2 + r * cols : 2 + (r + 1) * cols] for r in range(rows)]\n",
                ),
                (
                    "Read all integers; after R and C the rest is cut into R - 1 rows of C numbers each.",
                    "data = list(map(int, sys.stdin.read().split()))\nrows, cols = data[:2]\n"
                    "grid = [data[2 + r * cols : 2 + (r + 1) * cols] for r in range(max(1, rows - 1))]\n",
                ),
            ),
            step(
                (
                    "The best sums for the top row are its tolls; then work out the later rows one by one.",
                    "best = grid[0]\nfor row in grid[1:]:\n    reach = []\n",
                ),
                (
                    "The best sums before the first move are all zero; then work out the rows below the top.",
                    "best = [0] * cols\nfor row in grid[1:]:\n    reach = []\n",
                ),
                (
                    "The best sums for the top row are its tolls; then work out all rows one by one.",
                    "best = grid[0]\nfor row in grid:\n    reach = []\n",
                ),
                (
                    "Begin with the smallest toll of the top row in every column; then work out the later rows.",
                    "best = [min(grid[0])] * cols\nfor row in grid[1:]:\n    reach = []\n",
                ),
            ),
            step(
                (
                    "A field is entered from the fields above it and diagonally above, cut off at the left edge.",
                    "    for c in range(cols):\n        options = best[max(0, c - 1) : c + 2]\n",
                ),
                (
                    "A field is entered from the field straight above it or the one above on the left.",
                    "    for c in range(cols):\n        options = best[max(0, c - 1) : c + 1]\n",
                ),
                (
                    "A field is entered from the field straight above it or the one above on the right.",
                    "    for c in range(cols):\n        options = best[c : c + 2]\n",
                ),
                (
                    "A field is entered from the slice c - 1 to c + 1 above, or from any field if that is empty.",
                    "    for c in range(cols):\n        options = best[c - 1 : c + 2] or best\n",
                ),
            ),
            step(
                (
                    "Add its toll to the smallest of these; at the end print the smallest sum in the bottom row.",
                    "        reach.append(row[c] + min(options))\n    best = reach\nprint(min(best))\n",
                ),
                (
                    "Add its toll to the smallest of these; at the end print the sum in the last column.",
                    "        reach.append(row[c] + min(options))\n    best = reach\nprint(best[-1])\n",
                ),
                (
                    "Add its toll to the smallest of these and go on from the best field of the row alone.",
                    "        reach.append(row[c] + min(options))\n"
                    '    best = [total if total == min(reach) else float("inf") for total in reach]\n'
                    "print(min(best))\n",
                ),
                (
                    "Add its toll to the middle one of these; at the end print the smallest sum of the row.",
                    "        reach.append(row[c] + sorted(options)[len(options) // 2])\n    best = reach\n"
                    "print(min(best))\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="best_gigs",
        difficulty="medium",
        entry_point="best_gigs",
        statement="""
A musician is offered gigs, each a triple (start, end, fee) of integers with start < end and fee > 0,
and can play one at a time; a gig may begin at the very time another one ends. Write a function
best_gigs(gigs) that returns the largest total fee of gigs which do not overlap. The list may be in any
order and may have up to 2000 gigs; for an empty list the result is 0.
""",
        public=(
            (([(1, 4, 5), (3, 6, 6), (6, 8, 4)],), 10),
            (([(0, 9, 7), (1, 3, 4), (4, 8, 5)],), 9),
            (([(2, 3, 8), (1, 4, 3)],), 8),
        ),
        private=(
            (([],), 0),
            (([(2, 5, 9)],), 9),
            (([(0, 10, 50), (1, 2, 3), (3, 4, 3)],), 50),
            (([(1, 3, 4), (3, 5, 4), (5, 7, 4)],), 12),
            (([(0, 5, 3), (0, 5, 8), (0, 5, 6)],), 8),
            (([(0, 3, 2), (2, 4, 9), (4, 6, 2), (3, 8, 7)],), 11),
            (([(6, 9, 4), (0, 2, 3), (2, 6, 5), (1, 7, 7), (8, 9, 6)],), 14),
            (([(0, 2, 5), (1, 3, 6), (2, 4, 5), (3, 5, 6), (4, 6, 5), (5, 9, 1)],), 15),
            (([(-4, -1, 3), (-2, 1, 5), (1, 2, 2), (0, 3, 3)],), 7),
            (([(i, i + 3, i % 7 + 1) for i in range(120, 0, -1)],), 187),
        ),
        prologue="from bisect import bisect_left, bisect_right\n\n\ndef best_gigs(gigs):\n",
        steps=(
            step(
                (
                    "Sort the gigs by the time they end, and list these end times for searching.",
                    "    gigs = sorted(gigs, key=lambda gig: gig[1])\n    ends = [gig[1] for gig in gigs]\n",
                ),
                (
                    "Sort the gigs by the time they start, and list their end times for searching.",
                    "    gigs = sorted(gigs, key=lambda gig: gig[0])\n    ends = [gig[1] for gig in gigs]\n",
                ),
                (
                    "Sort the gigs by fee with the best paid first, and list their end times for searching.",
                    "    gigs = sorted(gigs, key=lambda gig: -gig[2])\n    ends = [gig[1] for gig in gigs]\n",
                ),
                (
                    "Leave the gigs in the given order, and list their end times, sorted, for searching.",
                    "    gigs = list(gigs)\n    ends = sorted(gig[1] for gig in gigs)\n",
                ),
            ),
            step(
                (
                    "With best[i] for the first i gigs, find for each gig how many end no later than it starts.",
                    "    best = [0]\n    for i, (start, end, fee) in enumerate(gigs):\n"
                    "        earlier = min(i, bisect_right(ends, start))\n",
                ),
                (
                    "With best[i] for the first i gigs, find for each gig how many end before it starts.",
                    "    best = [0]\n    for i, (start, end, fee) in enumerate(gigs):\n"
                    "        earlier = min(i, bisect_left(ends, start))\n",
                ),
                (
                    "With best[i] for the first i gigs, find for each gig how many end before it does.",
                    "    best = [0]\n    for i, (start, end, fee) in enumerate(gigs):\n"
                    "        earlier = min(i, bisect_left(ends, end))\n",
                ),
                (
                    "With best[i] for the first i gigs, count them all if the previous one is over, else none.",
                    "    best = [0]\n    for i, (start, end, fee) in enumerate(gigs):\n"
                    "        earlier = i if i and ends[i - 1] <= start else 0\n",
                ),
            ),
            step(
                (
                    "The next best is the larger of skipping and playing after the best before. Return the last.",
                    "        best.append(max(best[i], best[earlier] + fee))\n    return best[-1]\n",
                ),
                (
                    "The next best is the fee plus the best of the gigs that are over before. Return the last.",
                    "        best.append(best[earlier] + fee)\n    return best[-1]\n",
                ),
                (
                    "The next best is the larger of skipping the gig and its fee. Return the last best.",
                    "        best.append(max(best[i], fee))\n    return best[-1]\n",
                ),
                (
                    "The next best adds the fee if all earlier gigs are over, else stays. Return the last best.",
                    "        best.append(best[i] + fee if earlier == i else best[i])\n    return best[-1]\n",
                ),
                (
                    "The next best is the larger of skipping and playing. Return the one at the last gig's index.",
                    "        best.append(max(best[i], best[earlier] + fee))\n"
                    "    return best[max(0, len(gigs) - 1)]\n",
                ),
            ),
        ),
    ),
)
