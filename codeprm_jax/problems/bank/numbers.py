"""Bank problems on numbers: digits, primes, fractions, bases, counting, time, grids."""

from __future__ import annotations

from codeprm_jax.problems.bank.entry import BankEntry, step

ENTRIES: tuple[BankEntry, ...] = (
    BankEntry(
        name="mirror_additions",
        difficulty="easy",
        entry_point="mirror_additions",
        statement="""
One move turns a non-negative integer n into the sum of n and the number whose decimal digits are
those of n in reverse order (13 becomes 13 + 31 = 44). Write a function mirror_additions(n, limit)
that returns how many moves are made until the number reads the same in both directions, which is 0
if it does so at the start. If no number after at most limit moves does, return -1 (limit >= 0).
""",
        public=(((13, 5), 1), ((59, 3), 3), ((196, 4), -1)),
        private=(
            ((0, 0), 0),
            ((7, 3), 0),
            ((12, 0), -1),
            ((56, 1), 1),
            ((59, 10), 3),
            ((10, 2), 1),
            ((1231, 3), 1),
            ((345, 4), 1),
            ((1221, 5), 0),
            ((89, 24), 24),
        ),
        prologue="def mirror_additions(n, limit):\n",
        steps=(
            step(
                (
                    "No move has been made at the start, so the counter of moves is 0.",
                    "    moves = 0\n",
                ),
                (
                    "Make one move at the start, since a number changes by that, and set the counter to 1.",
                    "    n += int(str(n)[::-1])\n    moves = 1\n",
                ),
                (
                    "Let the counter of moves begin with 1, the move that is being made.",
                    "    moves = 1\n",
                ),
                (
                    "The counter of moves is 0, and the look at the start uses up one of the limit.",
                    "    moves = 0\n    limit -= 1\n",
                ),
            ),
            step(
                (
                    "While the moves are within the limit, return them if the digits equal their reverse.",
                    "    while moves <= limit:\n        text = str(n)\n        if text == text[::-1]:\n"
                    "            return moves\n",
                ),
                (
                    "While fewer moves than the limit are made, return them if the digits equal their reverse.",
                    "    while moves < limit:\n        text = str(n)\n        if text == text[::-1]:\n"
                    "            return moves\n",
                ),
                (
                    "While the moves are within the limit, return them if the first digit equals the last.",
                    "    while moves <= limit:\n        text = str(n)\n        if text[0] == text[-1]:\n"
                    "            return moves\n",
                ),
                (
                    "While the moves are within the limit, return them if the digits up to final zeros mirror.",
                    "    while moves <= limit:\n        text = str(n).rstrip('0')\n"
                    "        if text == text[::-1]:\n            return moves\n",
                ),
            ),
            step(
                (
                    "Make the move: add the number that is read from the reversed digits.",
                    "        n += int(text[::-1])\n",
                ),
                (
                    "Make the move: let the number be the one read from the reversed digits.",
                    "        n = int(text[::-1])\n",
                ),
                (
                    "Make the move: add the number whose digits are put into falling order.",
                    "        n += int(''.join(sorted(text, reverse=True)))\n",
                ),
                (
                    "Make the move: add the sum of the digits to the number.",
                    "        n += sum(map(int, text))\n",
                ),
            ),
            step(
                (
                    "Count the move; when the limit is exceeded there is no answer, so return -1.",
                    "        moves += 1\n    return -1\n",
                ),
                (
                    "Count the move; when the limit is exceeded return the moves that were made.",
                    "        moves += 1\n    return moves\n",
                ),
                (
                    "Count the two operations of the move, reversing and adding; after the limit return -1.",
                    "        moves += 2\n    return -1\n",
                ),
                (
                    "Count the move and look at the result; when it does not mirror at once, return -1.",
                    "        moves += 1\n        if str(n) != str(n)[::-1]:\n            return -1\n"
                    "    return -1\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="widest_prime_gap",
        difficulty="medium",
        statement="""
The input is one line with two integers a and b, 0 <= a <= b <= 100000. Look at the primes p with
a <= p <= b in rising order. Print the two neighbouring ones that lie farthest apart and their
difference, as three numbers separated by spaces, the smaller prime first. If several pairs are
equally far apart, take the one with the smallest primes. With fewer than two primes print "none".
""",
        public=(("4 20\n", "7 11 4\n"), ("7 11\n", "7 11 4\n"), ("40 60\n", "47 53 6\n")),
        private=(
            ("0 0\n", "none\n"),
            ("0 3\n", "2 3 1\n"),
            ("1 5\n", "3 5 2\n"),
            ("14 16\n", "none\n"),
            ("40 49\n", "43 47 4\n"),
            ("112 121\n", "none\n"),
            ("20 60\n", "23 29 6\n"),
            ("3 7\n", "3 5 2\n"),
            ("31397 31469\n", "31397 31469 72\n"),
            ("0 100000\n", "31397 31469 72\n"),
        ),
        prologue="",
        steps=(
            step(
                (
                    "Read the limits and mark every number up to b as a prime candidate, except 0 and 1.",
                    "a, b = map(int, input().split())\nis_prime = [True] * (b + 1)\n"
                    "is_prime[:2] = [False, False]\n",
                ),
                (
                    "Read the limits and mark every number below b as a prime candidate, except 0 and 1.",
                    "a, b = map(int, input().split())\nis_prime = [True] * b\nis_prime[:2] = [False, False]\n",
                ),
                (
                    "Read the limits and mark every number up to b as a prime candidate, except 0.",
                    "a, b = map(int, input().split())\nis_prime = [True] * (b + 1)\nis_prime[0] = False\n",
                ),
                (
                    "Read the limits and mark the odd numbers up to b as prime candidates, except 1.",
                    "a, b = map(int, input().split())\nis_prime = [k % 2 == 1 for k in range(b + 1)]\n"
                    "is_prime[:2] = [False, False]\n",
                ),
            ),
            step(
                (
                    "For each candidate d up to the root of b strike out its multiples from d * d on.",
                    "for d in range(2, int(b**0.5) + 1):\n    if is_prime[d]:\n"
                    "        for m in range(d * d, len(is_prime), d):\n            is_prime[m] = False\n",
                ),
                (
                    "For each candidate d below the root of b strike out its multiples from d * d on.",
                    "for d in range(2, int(b**0.5)):\n    if is_prime[d]:\n"
                    "        for m in range(d * d, len(is_prime), d):\n            is_prime[m] = False\n",
                ),
                (
                    "For each candidate d up to the root of b strike out the multiples that follow d * d.",
                    "for d in range(2, int(b**0.5) + 1):\n    if is_prime[d]:\n"
                    "        for m in range(d * d + d, len(is_prime), d):\n            is_prime[m] = False\n",
                ),
                (
                    "For each of the one-digit primes strike out the multiples from d * d on.",
                    "for d in (2, 3, 5, 7):\n    for m in range(d * d, len(is_prime), d):\n"
                    "        is_prime[m] = False\n",
                ),
            ),
            step(
                (
                    "List the primes from a on and pair each one with the next.",
                    "primes = [p for p, ok in enumerate(is_prime) if ok and p >= a]\n"
                    "pairs = list(zip(primes, primes[1:]))\n",
                ),
                (
                    "List the primes greater than a and pair each one with the next.",
                    "primes = [p for p, ok in enumerate(is_prime) if ok and p > a]\n"
                    "pairs = list(zip(primes, primes[1:]))\n",
                ),
                (
                    "List all primes that were found and pair each one with the next.",
                    "primes = [p for p, ok in enumerate(is_prime) if ok]\n"
                    "pairs = list(zip(primes, primes[1:]))\n",
                ),
                (
                    "List the primes from a on and cut the list into pairs of two.",
                    "primes = [p for p, ok in enumerate(is_prime) if ok and p >= a]\n"
                    "pairs = list(zip(primes[::2], primes[1::2]))\n",
                ),
            ),
            step(
                (
                    "Take the first pair of the largest difference and print it, or none if there are no pairs.",
                    "if pairs:\n    p, q = max(pairs, key=lambda pair: pair[1] - pair[0])\n"
                    "    print(p, q, q - p)\nelse:\n    print('none')\n",
                ),
                (
                    "Sort the pairs by difference and print the last of them, or none if there are no pairs.",
                    "if pairs:\n    p, q = sorted(pairs, key=lambda pair: pair[1] - pair[0])[-1]\n"
                    "    print(p, q, q - p)\nelse:\n    print('none')\n",
                ),
                (
                    "Take the largest pair and print it with its difference, or none if there are no pairs.",
                    "if pairs:\n    p, q = max(pairs)\n    print(p, q, q - p)\nelse:\n    print('none')\n",
                ),
                (
                    "If there are at least two pairs print the first of the largest difference, else none.",
                    "if len(pairs) > 1:\n    p, q = max(pairs, key=lambda pair: pair[1] - pair[0])\n"
                    "    print(p, q, q - p)\nelse:\n    print('none')\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="mixed_sum",
        difficulty="medium",
        entry_point="mixed_sum",
        statement="""
Write a function mixed_sum(parts) that adds fractions, given as a list of [numerator, denominator]
with integers; a denominator is never 0 but may be negative. Return the sum as a string in lowest
terms: "k" if it is an integer, "n/d" if it lies between -1 and 1, otherwise whole part and fraction
as in "2 1/3". A negative result has a single minus sign in front of everything, as in "-2 1/3".
The sum of no fractions is "0".
""",
        public=(
            (([[1, 2], [1, 3]],), "5/6"),
            (([[7, 4], [3, 4]],), "2 1/2"),
            (([[3, 5], [-4, 5]],), "-1/5"),
        ),
        private=(
            (([],), "0"),
            (([[6, 3]],), "2"),
            (([[1, -2]],), "-1/2"),
            (([[-3, 2], [-1, 1]],), "-2 1/2"),
            (([[1, 6], [-1, 6]],), "0"),
            (([[-9, 3]],), "-3"),
            (([[2, 9], [5, 6], [1, 18]],), "1 1/9"),
            (([[-5, -4], [1, -3]],), "11/12"),
            (([[8, 3]],), "2 2/3"),
            (([[4, 1], [3, 1]],), "7"),
        ),
        prologue="from math import gcd\n\n\ndef mixed_sum(parts):\n",
        steps=(
            step(
                (
                    "Begin with 0/1 and add each n/d by cross multiplication over the product of denominators.",
                    "    num, den = 0, 1\n    for n, d in parts:\n"
                    "        num, den = num * d + n * den, den * d\n",
                ),
                (
                    "Begin with 0/1 and add each n/d: numerators are added up, denominators are multiplied.",
                    "    num, den = 0, 1\n    for n, d in parts:\n        num, den = num + n, den * d\n",
                ),
                (
                    "Begin with 0/1 and for each n/d widen the sum by d, add n, and multiply the denominators.",
                    "    num, den = 0, 1\n    for n, d in parts:\n        num, den = num * d + n, den * d\n",
                ),
                (
                    "Begin with 0/1 and add each n/d by cross multiplication, with d as a positive number.",
                    "    num, den = 0, 1\n    for n, d in parts:\n"
                    "        num, den = num * abs(d) + n * den, den * abs(d)\n",
                ),
            ),
            step(
                (
                    "Divide both by their greatest common divisor, with its sign chosen to make den positive.",
                    "    g = gcd(num, den) if den > 0 else -gcd(num, den)\n    num, den = num // g, den // g\n",
                ),
                (
                    "Divide numerator and denominator by their greatest common divisor.",
                    "    g = gcd(num, den)\n    num, den = num // g, den // g\n",
                ),
                (
                    "Make both positive or negative as den demands, and divide both by 2 while they are even.",
                    "    num, den = (num, den) if den > 0 else (-num, -den)\n"
                    "    while num % 2 == den % 2 == 0:\n"
                    "        num, den = num // 2, den // 2\n",
                ),
                (
                    "Take the sign over from den, and divide both by the denominator if it divides the numerator.",
                    "    num, den = (num, den) if den > 0 else (-num, -den)\n    if num % den == 0:\n"
                    "        num, den = num // den, 1\n",
                ),
            ),
            step(
                (
                    "Keep the minus sign apart and split the absolute value into whole part and rest.",
                    "    sign = '-' if num < 0 else ''\n    whole, rest = divmod(abs(num), den)\n",
                ),
                (
                    "Split the number into whole part and rest; a minus sign then stands with the whole part.",
                    "    sign = ''\n    whole, rest = divmod(num, den)\n",
                ),
                (
                    "Cut the quotient off towards zero, minus included, and take the rest of the absolute value.",
                    "    sign = ''\n    whole, rest = int(num / den), abs(num) % den\n",
                ),
                (
                    "Keep the minus sign apart and split the number itself into whole part and rest.",
                    "    sign = '-' if num < 0 else ''\n    whole, rest = divmod(num, den)\n",
                ),
            ),
            step(
                (
                    "Join the parts that are not zero behind the sign, and show 0 if both are zero.",
                    "    shown = ([str(whole)] if whole else []) + ([f'{rest}/{den}'] if rest else [])\n"
                    "    return sign + ' '.join(shown or ['0'])\n",
                ),
                (
                    "Join the parts that are not zero behind the sign.",
                    "    shown = ([str(whole)] if whole else []) + ([f'{rest}/{den}'] if rest else [])\n"
                    "    return sign + ' '.join(shown)\n",
                ),
                (
                    "Show the whole part and, if the rest is not zero, the fraction behind it.",
                    "    shown = [str(whole)] + ([f'{rest}/{den}'] if rest else [])\n"
                    "    return sign + ' '.join(shown)\n",
                ),
                (
                    "Give the whole number if the rest is zero; otherwise put the sign before each part shown.",
                    "    if rest == 0:\n        return str(whole)\n"
                    "    shown = ([str(whole)] if whole else []) + [f'{rest}/{den}']\n"
                    "    return ' '.join(sign + part for part in shown)\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="write_in_base",
        difficulty="easy",
        entry_point="write_in_base",
        statement="""
Write a function write_in_base(n, base) that returns the integer n, which may be negative, written
in the given base (2 <= base <= 36) as a string. The digits above 9 are the lower-case letters from
a = 10 to z = 35. The string has no leading zeros, a negative number has a minus sign in front, and
zero is "0".
""",
        public=(((10, 2), "1010"), ((47, 5), "142"), ((-7, 3), "-21")),
        private=(
            ((0, 7), "0"),
            ((1, 2), "1"),
            ((255, 16), "ff"),
            ((-35, 36), "-z"),
            ((1000, 36), "rs"),
            ((81, 3), "10000"),
            ((-64, 8), "-100"),
            ((9, 10), "9"),
            ((131, 11), "10a"),
            ((12345678901, 10), "12345678901"),
        ),
        prologue="def write_in_base(n, base):\n",
        steps=(
            step(
                (
                    "Zero has no digits to be split off, so it is answered by itself.",
                    "    if n == 0:\n        return '0'\n",
                ),
                (
                    "Numbers smaller than the base are a single digit, so answer them at once.",
                    "    if n < base:\n        return str(n)\n",
                ),
                (
                    "Numbers that are not positive have no digits to be split off, so they are zero.",
                    "    if n <= 0:\n        return '0'\n",
                ),
                (
                    "Zero needs no case of its own; just make sure that n is an integer.",
                    "    n = int(n)\n",
                ),
            ),
            step(
                (
                    "Remember the minus sign, go on with the absolute value and collect digits in a list.",
                    "    sign = '-' if n < 0 else ''\n    n, digits = abs(n), []\n",
                ),
                (
                    "Go on with the absolute value and collect the digits in a list, with an empty sign.",
                    "    sign = ''\n    n, digits = abs(n), []\n",
                ),
                (
                    "Put the minus sign into the list of digits as its first entry and use the absolute value.",
                    "    sign = ''\n    n, digits = abs(n), ['-'] if n < 0 else []\n",
                ),
                (
                    "Remember the minus sign, keep n as it is and collect its digits in a list.",
                    "    sign = '-' if n < 0 else ''\n    digits = []\n",
                ),
            ),
            step(
                (
                    "While n is positive, take the remainder as a digit and go on with the quotient.",
                    "    while n > 0:\n        digit = n % base\n        n //= base\n",
                ),
                (
                    "While n is at least the base, take the remainder as a digit and go on with the quotient.",
                    "    while n >= base:\n        digit = n % base\n        n //= base\n",
                ),
                (
                    "While n is positive, mask out the low digit with base - 1 and go on with the quotient.",
                    "    while n > 0:\n        digit = n & (base - 1)\n        n //= base\n",
                ),
                (
                    "While n is positive, go on with the quotient and take its remainder as a digit.",
                    "    while n > 0:\n        n //= base\n        digit = n % base\n",
                ),
            ),
            step(
                (
                    "Look the digit up in the row 0-9a-z; at the end give the sign and the digits reversed.",
                    "        digits.append('0123456789abcdefghijklmnopqrstuvwxyz'[digit])\n"
                    "    return sign + ''.join(digits[::-1])\n",
                ),
                (
                    "Write the digit as a decimal; at the end give the sign and the digits reversed.",
                    "        digits.append(str(digit))\n    return sign + ''.join(digits[::-1])\n",
                ),
                (
                    "Look the digit up in the row 0-9a-z; at the end give the sign and the collected digits.",
                    "        digits.append('0123456789abcdefghijklmnopqrstuvwxyz'[digit])\n"
                    "    return sign + ''.join(digits)\n",
                ),
                (
                    "Write 0 to 9 as they are and others as the letter that lies digit - 9 behind a; reverse.",
                    "        digits.append(str(digit) if digit < 10 else chr(ord('a') + digit - 9))\n"
                    "    return sign + ''.join(digits[::-1])\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="stair_ways",
        difficulty="medium",
        entry_point="stair_ways",
        statement="""
A robot stands at the foot of a staircase, on level 0, and wants to reach level n exactly. In one
jump it rises by one of the numbers in the list jumps (positive and distinct), and it may never
stand on a level that is in the list broken (levels from 1 to n, in any order). Write a function
stair_ways(n, jumps, broken) that returns the number of different sequences of jumps, modulo
1000000007. For n = 0 there is one way: no jump at all. Limits: n <= 2000, at most 10 jumps.
""",
        public=(((4, [1, 2], []), 5), ((5, [1, 2], [3]), 2), ((3, [2], []), 0)),
        private=(
            ((0, [1, 2], []), 1),
            ((1, [1], [1]), 0),
            ((6, [1, 2, 3], [4, 2]), 4),
            ((5, [1, 4], []), 3),
            ((7, [1, 3, 5], [2]), 7),
            ((100, [1, 2], []), 782204094),
            ((3, [9, 1], []), 1),
            ((6, [6, 2], []), 2),
            ((8, [2, 1, 4], [5, 1]), 12),
        ),
        prologue="def stair_ways(n, jumps, broken):\n",
        steps=(
            step(
                (
                    "Keep the number of ways for each level, 1 for the ground and 0 elsewhere, and a broken set.",
                    "    ways = [1] + [0] * n\n    blocked = set(broken)\n",
                ),
                (
                    "Keep the number of ways for each level, beginning with 1 for all, and a set of broken levels.",
                    "    ways = [1] * (n + 1)\n    blocked = set(broken)\n",
                ),
                (
                    "Keep the number of ways for each level, 1 for the ground; the goal does not count as broken.",
                    "    ways = [1] + [0] * n\n    blocked = set(broken) - {n}\n",
                ),
                (
                    "Give the ground and each level that a single jump reaches one way, and make a broken set.",
                    "    ways = [1] + [int(level in jumps) for level in range(1, n + 1)]\n"
                    "    blocked = set(broken)\n",
                ),
            ),
            step(
                (
                    "Go up the levels from 1 to n and pass over each level that is broken.",
                    "    for level in range(1, n + 1):\n        if level in blocked:\n            continue\n",
                ),
                (
                    "Go up the levels from 1 to n and stop the climb at a level that is broken.",
                    "    for level in range(1, n + 1):\n        if level in blocked:\n            break\n",
                ),
                (
                    "Go up the levels from 1 to n and pass over the lowest of the broken levels.",
                    "    for level in range(1, n + 1):\n        if level == min(blocked, default=0):\n"
                    "            continue\n",
                ),
                (
                    "Go up the levels from 1 to n and pass over each level that has a broken one below it.",
                    "    for level in range(1, n + 1):\n        if level - 1 in blocked:\n"
                    "            continue\n",
                ),
            ),
            step(
                (
                    "For every jump that fits below the level add the ways of the level where it starts.",
                    "        for jump in jumps:\n            if jump <= level:\n"
                    "                ways[level] += ways[level - jump]\n",
                ),
                (
                    "For every jump smaller than the level add the ways of the level where it starts.",
                    "        for jump in jumps:\n            if jump < level:\n"
                    "                ways[level] += ways[level - jump]\n",
                ),
                (
                    "For every height up to the largest jump add the ways of the level where it starts.",
                    "        for jump in range(1, max(jumps) + 1):\n            if jump <= level:\n"
                    "                ways[level] += ways[level - jump]\n",
                ),
                (
                    "For every jump in turn add the ways of the level until one of them is too high.",
                    "        for jump in jumps:\n            if jump > level:\n                break\n"
                    "            ways[level] += ways[level - jump]\n",
                ),
            ),
            step(
                (
                    "Reduce the sum of the level by the modulus and return the ways of level n.",
                    "        ways[level] %= 1_000_000_007\n    return ways[n]\n",
                ),
                (
                    "Reduce the sum of the level by the power of ten and return the ways of level n.",
                    "        ways[level] %= 1_000_000_000\n    return ways[n]\n",
                ),
                (
                    "Reduce the sum of the level by the modulus and return the sum over all levels.",
                    "        ways[level] %= 1_000_000_007\n    return sum(ways) % 1_000_000_007\n",
                ),
                (
                    "Reduce the sum of the level by the modulus and return the ways of level n - 1, counted from 0.",
                    "        ways[level] %= 1_000_000_007\n    return ways[n - 1]\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="paid_time",
        difficulty="easy",
        statement="""
The first line of the input holds a number n (0 <= n <= 100), each of the next n lines the start and
the end of a shift as "HH:MM HH:MM" (24-hour clock, 00:00 to 23:59). A shift whose end is earlier
than its start ends on the next day; if both are equal it lasts exactly 24 hours. A shift longer than
6 hours contains one unpaid break of 30 minutes. Print the total paid time of all shifts as "H:MM":
hours without leading zeros (they may exceed 23), minutes with two digits.
""",
        public=(
            ("2\n08:00 12:30\n13:00 17:10\n", "8:40\n"),
            ("1\n22:15 05:45\n", "7:00\n"),
        ),
        private=(
            ("0\n", "0:00\n"),
            ("1\n09:00 15:00\n", "6:00\n"),
            ("1\n09:00 15:01\n", "5:31\n"),
            ("1\n10:20 10:20\n", "23:30\n"),
            ("3\n07:05 07:10\n23:59 00:00\n00:00 00:01\n", "0:07\n"),
            ("2\n06:00 19:00\n06:00 19:00\n", "25:00\n"),
            ("2\n09:00 14:00\n09:00 14:00\n", "10:00\n"),
            ("3\n01:00 08:30\n20:00 21:15\n12:00 00:00\n", "19:45\n"),
            ("1\n17:50 18:05\n", "0:15\n"),
        ),
        prologue="import sys\n",
        steps=(
            step(
                (
                    "Read all times behind the number and pair them as start and end, two by two.",
                    "times = sys.stdin.read().split()[1:]\nshifts = list(zip(times[::2], times[1::2]))\n",
                ),
                (
                    "Read all times behind the number and pair each of them with the next one.",
                    "times = sys.stdin.read().split()[1:]\nshifts = list(zip(times, times[1:]))\n",
                ),
                (
                    "Read all times behind the number and make a set of the pairs of start and end.",
                    "times = sys.stdin.read().split()[1:]\nshifts = set(zip(times[::2], times[1::2]))\n",
                ),
                (
                    "Read all times behind the number in sorted order and pair them two by two.",
                    "times = sorted(sys.stdin.read().split()[1:])\n"
                    "shifts = list(zip(times[::2], times[1::2]))\n",
                ),
            ),
            step(
                (
                    "For each shift turn both times into minutes since midnight: 60 for an hour, plus the minutes.",
                    "total = 0\nfor shift in shifts:\n"
                    "    start, end = (int(t[:2]) * 60 + int(t[3:]) for t in shift)\n",
                ),
                (
                    "For each shift take both times as numbers of four digits, 100 for an hour plus the minutes.",
                    "total = 0\nfor shift in shifts:\n"
                    "    start, end = (int(t[:2]) * 100 + int(t[3:]) for t in shift)\n",
                ),
                (
                    "For each shift set the total to 0 and turn both times into minutes since midnight.",
                    "total = 0\nfor shift in shifts:\n    total = 0\n"
                    "    start, end = (int(t[:2]) * 60 + int(t[3:]) for t in shift)\n",
                ),
                (
                    "For each shift turn both times into minutes, rounded down to a quarter of an hour.",
                    "total = 0\nfor shift in shifts:\n"
                    "    start, end = (int(t[:2]) * 60 + int(t[3:]) // 15 * 15 for t in shift)\n",
                ),
            ),
            step(
                (
                    "The length is end minus start, and a day more if that is not positive.",
                    "    length = end - start\n    if length <= 0:\n        length += 24 * 60\n",
                ),
                (
                    "The length is end minus start, and a day more if that is negative.",
                    "    length = end - start\n    if length < 0:\n        length += 24 * 60\n",
                ),
                (
                    "The length is the distance between the two times, whichever of them is later.",
                    "    length = abs(end - start)\n",
                ),
                (
                    "The length is end minus start, and half a day more if that is not positive.",
                    "    length = end - start\n    if length <= 0:\n        length += 12 * 60\n",
                ),
            ),
            step(
                (
                    "Add the length, less 30 minutes if it exceeds 360, and print hours and padded minutes.",
                    "    total += length - 30 if length > 360 else length\n"
                    "print(f'{total // 60}:{total % 60:02d}')\n",
                ),
                (
                    "Add the length, less 30 minutes from 360 on, and print hours and padded minutes.",
                    "    total += length - 30 if length >= 360 else length\n"
                    "print(f'{total // 60}:{total % 60:02d}')\n",
                ),
                (
                    "Add the length, less 30 minutes for each full 361, and print hours and padded minutes.",
                    "    total += length - length // 361 * 30\nprint(f'{total // 60}:{total % 60:02d}')\n",
                ),
                (
                    "Add all lengths, take 30 minutes off a total above 360, and print hours and padded minutes.",
                    "    total += length\ntotal -= 30 if total > 360 else 0\n"
                    "print(f'{total // 60}:{total % 60:02d}')\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="ring_sums",
        difficulty="medium",
        entry_point="ring_sums",
        statement="""
A rectangular grid of integers consists of rings: ring 0 is its border, ring 1 the border of what is
left inside, and so on; a single row, column or cell that is left in the middle is a ring, too.
Write a function ring_sums(grid) that receives the grid as a list of rows of equal length and
returns the list of the sums of all rings from the outside to the inside. A grid without rows, or
with rows of length 0, gives an empty list.
""",
        public=(
            (([[1, 2, 3], [4, 5, 6], [7, 8, 9]],), [40, 5]),
            (([[2, 0], [1, 4]],), [7]),
            (([[1, 2, 3, 4]],), [10]),
        ),
        private=(
            (([],), []),
            (([[]],), []),
            (([[6]],), [6]),
            (([[1, 1, 1, 1, 1], [1, 2, -7, 3, 1], [1, 1, 1, 1, 1]],), [12, -2]),
            (([[3], [-3], [5]],), [5]),
            (([[0, 1, 0], [1, 4, 1], [1, -4, 1], [0, 1, 0]],), [6, 0]),
            (([[1] * 5, [1, 2, 2, 2, 1], [1, 2, 9, 2, 1], [1, 2, 2, 2, 1], [1] * 5],), [16, 16, 9]),
            (([[1, 1, 1, 1], [1, 9, 9, 1], [1, 9, 9, 1], [1, 1, 1, 1]],), [12, 36]),
        ),
        prologue="def ring_sums(grid):\n",
        steps=(
            step(
                (
                    "Take rows and columns, 0 columns if there is no row; half the smaller, rounded up, are rings.",
                    "    rows, cols = len(grid), len(grid[0]) if grid else 0\n"
                    "    sums = [0] * ((min(rows, cols) + 1) // 2)\n",
                ),
                (
                    "Take rows and columns, the latter from the first row; half the smaller, rounded up, are rings.",
                    "    rows, cols = len(grid), len(grid[0])\n    sums = [0] * ((min(rows, cols) + 1) // 2)\n",
                ),
                (
                    "Take rows and columns, 0 columns if there is no row; half the smaller, rounded down, are rings.",
                    "    rows, cols = len(grid), len(grid[0]) if grid else 0\n"
                    "    sums = [0] * (min(rows, cols) // 2)\n",
                ),
                (
                    "Take rows and columns, 0 columns if there is no row; half the larger, rounded up, are rings.",
                    "    rows, cols = len(grid), len(grid[0]) if grid else 0\n"
                    "    sums = [0] * ((max(rows, cols) + 1) // 2)\n",
                ),
            ),
            step(
                (
                    "The ring of a cell is its smallest distance to the four sides of the grid.",
                    "    for r in range(rows):\n        for c in range(cols):\n"
                    "            ring = min(r, c, rows - 1 - r, cols - 1 - c)\n",
                ),
                (
                    "The ring of a cell is the smaller one of its row and its column, but at most the last ring.",
                    "    for r in range(rows):\n        for c in range(cols):\n"
                    "            ring = min(r, c, len(sums) - 1)\n",
                ),
                (
                    "The ring of a cell is its smaller distance to the upper and the lower side.",
                    "    for r in range(rows):\n        for c in range(cols):\n"
                    "            ring = min(r, rows - 1 - r)\n",
                ),
                (
                    "The ring of a cell is the smallest of its row, its column and what they leave of the rows.",
                    "    for r in range(rows):\n        for c in range(cols):\n"
                    "            ring = min(r, c, rows - 1 - r, rows - 1 - c)\n",
                ),
            ),
            step(
                (
                    "Add the number in the cell to the sum of its ring.",
                    "            sums[ring] += grid[r][c]\n",
                ),
                (
                    "Add the absolute value of the cell to the sum of its ring.",
                    "            sums[ring] += abs(grid[r][c])\n",
                ),
                (
                    "Add the number in the cell to its ring, apart from the diagonal, where two sides meet.",
                    "            sums[ring] += grid[r][c] if r != c else 0\n",
                ),
                (
                    "Store the number in the cell for its ring if it is larger than what is there.",
                    "            sums[ring] = max(sums[ring], grid[r][c])\n",
                ),
            ),
            step(
                (
                    "The sums already stand in order from the outside to the inside, so return them.",
                    "    return sums\n",
                ),
                (
                    "Return the sums sorted from the largest to the smallest, as outer rings have more cells.",
                    "    return sorted(sums, reverse=True)\n",
                ),
                (
                    "The rings were filled from the middle outwards, so return the sums the other way round.",
                    "    return sums[::-1]\n",
                ),
                (
                    "Return the sums of the rings and leave out those that stayed at 0.",
                    "    return [s for s in sums if s]\n",
                ),
            ),
        ),
    ),
)
