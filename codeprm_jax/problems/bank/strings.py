"""Bank problems on text: parsing, brackets, words, palindromes, tables."""

from __future__ import annotations

from codeprm_jax.problems.bank.entry import BankEntry, step

ENTRIES: tuple[BankEntry, ...] = (
    BankEntry(
        name="unpack_runs",
        difficulty="easy",
        entry_point="unpack_runs",
        statement="""
Write a function unpack_runs(code) that expands a shortened string. The code is a series of English
letters, each of which may be followed by a decimal count of one or more digits: "b12" stands for
twelve times the letter b. A letter without a count stands for itself once, and a count of 0 means
that the letter does not appear. Case is kept. An empty code gives an empty string.
""",
        public=((("a3b2",), "aaabb"), (("xy12z",), "x" + 12 * "y" + "z")),
        private=(
            (("",), ""),
            (("q",), "q"),
            (("k0m2",), "mm"),
            (("Z2aB",), "ZZaB"),
            (("h10i3",), 10 * "h" + "iii"),
            (("c3c2d0",), "ccccc"),
            (("pqr",), "pqr"),
            (("a105b",), 105 * "a" + "b"),
            (("n2o2",), "nnoo"),
        ),
        prologue="def unpack_runs(code):\n",
        steps=(
            step(
                (
                    "Collect the expanded pieces in a list and read the code from its first character.",
                    "    parts = []\n    i = 0\n",
                ),
                (
                    "Collect the pieces in a list, start at position 0, and drop zeros as they add no copies.",
                    '    parts = []\n    i = 0\n    code = code.replace("0", "")\n',
                ),
                (
                    "Put the first letter into the list of pieces, then read the code from position 0.",
                    "    parts = [code[:1]]\n    i = 0\n",
                ),
                (
                    "Collect the pieces in a list and begin to read behind the leading character.",
                    "    parts = []\n    i = 1\n",
                ),
            ),
            step(
                (
                    "While characters are left, take the next one as the letter; its count starts just behind it.",
                    "    while i < len(code):\n        letter = code[i]\n        i += 1\n        start = i\n",
                ),
                (
                    "While another character stands behind it, take the next one as letter; its count starts there.",
                    "    while i < len(code) - 1:\n        letter = code[i]\n        i += 1\n"
                    "        start = i\n",
                ),
                (
                    "While characters are left, take the next one in lower case; its count starts just behind it.",
                    "    while i < len(code):\n        letter = code[i].lower()\n        i += 1\n"
                    "        start = i\n",
                ),
                (
                    "Take a letter and step over it and its first digit; the count starts at that digit.",
                    "    while i < len(code):\n        letter = code[i]\n        start = i + 1\n"
                    "        i += 2\n",
                ),
            ),
            step(
                (
                    "Move on as long as the current character is a digit, so that the count has all its digits.",
                    "        while i < len(code) and code[i].isdigit():\n            i += 1\n",
                ),
                (
                    "Move over the digit behind the letter if there is one, which makes up the count.",
                    "        if i < len(code) and code[i].isdigit():\n            i += 1\n",
                ),
                (
                    "Move on as long as the current character is one of the digits 1 to 9, which form the count.",
                    '        while i < len(code) and code[i] in "123456789":\n            i += 1\n',
                ),
                (
                    "Move on over digits as long as a further character stands behind the current one.",
                    "        while i < len(code) - 1 and code[i].isdigit():\n            i += 1\n",
                ),
            ),
            step(
                (
                    "Turn the digits into the count, 1 if there are none, add the copies and join everything.",
                    "        parts.append(letter * (int(code[start:i]) if i > start else 1))\n"
                    '    return "".join(parts)\n',
                ),
                (
                    "Turn the digits into the count, 0 if there are none, add the copies and join everything.",
                    '        parts.append(letter * int(code[start:i] or 0))\n    return "".join(parts)\n',
                ),
                (
                    "Turn the digits into the count with at least one copy, add the copies and join everything.",
                    "        parts.append(letter * max(1, int(code[start:i] or 1)))\n"
                    '    return "".join(parts)\n',
                ),
                (
                    "Let the sum of the digits be the count, 1 if there are none, add the copies and join them.",
                    "        count = sum(int(d) for d in code[start:i]) if i > start else 1\n"
                    '        parts.append(letter * count)\n    return "".join(parts)\n',
                ),
            ),
        ),
    ),
    BankEntry(
        name="deepest_brackets",
        difficulty="medium",
        entry_point="deepest_brackets",
        statement="""
Write a function deepest_brackets(text). The text contains round, square and curly brackets among
any other characters. If every bracket is closed by its own kind and in the right order, return the
largest number of brackets that are open at one place of the text, which is 0 when there are none.
Otherwise (something unclosed, closed by another kind, or never opened) return -1.
""",
        public=((("(a[b]c)",), 2), (("f(x",), -1), (("{} + {}",), 1)),
        private=(
            (("",), 0),
            (("no brackets",), 0),
            (("(]",), -1),
            (("((",), -1),
            (("([)]",), -1),
            (("[[{}]()]",), 3),
            (("{[(())]}",), 4),
            (("a}",), -1),
            (("(a)((b)(c))",), 2),
            (("()[](",), -1),
        ),
        prologue="def deepest_brackets(text):\n",
        steps=(
            step(
                (
                    "Map each closing bracket to its opening one, and begin with an empty stack and depth 0.",
                    '    pairs = {")": "(", "]": "[", "}": "{"}\n    stack = []\n    best = 0\n',
                ),
                (
                    "Map each closing bracket to its opening one, and begin with an empty stack and depth 1.",
                    '    pairs = {")": "(", "]": "[", "}": "{"}\n    stack = []\n    best = 1\n',
                ),
                (
                    "Map the round and the square closing bracket to the opening ones; no open ones, depth 0.",
                    '    pairs = {")": "(", "]": "["}\n    stack = []\n    best = 0\n',
                ),
                (
                    "Map closing to opening brackets and lay a marker at the bottom so the stack has a top; depth 0.",
                    '    pairs = {")": "(", "]": "[", "}": "{"}\n    stack = ["#"]\n    best = 0\n',
                ),
            ),
            step(
                (
                    "Push every opening bracket, then raise the best depth to the size of the stack.",
                    "    for ch in text:\n        if ch in pairs.values():\n"
                    "            stack.append(ch)\n            best = max(best, len(stack))\n",
                ),
                (
                    "On an opening bracket raise the best depth to the size of the stack, then push it.",
                    "    for ch in text:\n        if ch in pairs.values():\n"
                    "            best = max(best, len(stack))\n            stack.append(ch)\n",
                ),
                (
                    "Push every opening bracket and add one to the depth, as each opens a new level.",
                    "    for ch in text:\n        if ch in pairs.values():\n"
                    "            stack.append(ch)\n            best += 1\n",
                ),
                (
                    "Push every opening bracket, then raise the best depth to how many of its kind are open.",
                    "    for ch in text:\n        if ch in pairs.values():\n"
                    "            stack.append(ch)\n            best = max(best, stack.count(ch))\n",
                ),
            ),
            step(
                (
                    "On a closing bracket give up with -1 unless the top of the stack, popped, is its partner.",
                    "        elif ch in pairs and (not stack or stack.pop() != pairs[ch]):\n"
                    "            return -1\n",
                ),
                (
                    "On a closing bracket with a non-empty stack give up with -1 if the popped top is no partner.",
                    "        elif ch in pairs and stack and stack.pop() != pairs[ch]:\n            return -1\n",
                ),
                (
                    "On a closing bracket give up with -1 if nothing is open, else pop the top of the stack.",
                    "        elif ch in pairs:\n            if not stack:\n                return -1\n"
                    "            stack.pop()\n",
                ),
                (
                    "On a closing bracket give up with -1 unless the bracket at the bottom, popped, is its partner.",
                    "        elif ch in pairs and (not stack or stack.pop(0) != pairs[ch]):\n"
                    "            return -1\n",
                ),
            ),
            step(
                (
                    "After the last character the result is the best depth if the stack is empty, else -1.",
                    "    return -1 if stack else best\n",
                ),
                (
                    "After the last character every check has been passed, so the best depth is the result.",
                    "    return best\n",
                ),
                (
                    "After the last character the result is the best depth if an even number stay open, else -1.",
                    "    return best if len(stack) % 2 == 0 else -1\n",
                ),
                (
                    "After the last character take the brackets that are still open away from the best depth.",
                    "    return best - len(stack)\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="anagram_groups",
        difficulty="medium",
        statement="""
The first line of the input holds a number n (0 <= n <= 1000), and each of the next n lines one word
of English letters. Two words belong together when they use the same letters equally often, upper
and lower case alike. For every group of at least two words print one line with its words, as
written and in the order of the input (a repeated word counts each time), separated by single
spaces. Larger groups come first, groups of equal size in the order of their first words. If there
is no such group, print "none".
""",
        public=(
            ("6\npea\ntin\nape\nsun\nnit\nNIT\n", "tin nit NIT\npea ape\n"),
            ("2\nbook\nkook\n", "none\n"),
        ),
        private=(
            ("0\n", "none\n"),
            ("1\nalone\n", "none\n"),
            ("4\nstop\nbad\ndab\nPots\n", "stop Pots\nbad dab\n"),
            ("3\ngo\nog\ngo\n", "go og go\n"),
            ("2\nad\nbc\n", "none\n"),
            ("5\nwas\nloop\npolo\nsaw\npool\n", "loop polo pool\nwas saw\n"),
            ("6\nno\nbe\nam\nEb\nma\non\n", "no on\nbe Eb\nam ma\n"),
            ("2\nlop\nloop\n", "none\n"),
        ),
        prologue="import sys\n",
        steps=(
            step(
                (
                    "Read all words of the input and leave out the number in front.",
                    "words = sys.stdin.read().split()[1:]\n",
                ),
                (
                    "Read the number n and take the entries of the input up to position n.",
                    "data = sys.stdin.read().split()\nwords = data[1 : int(data[0])]\n",
                ),
                (
                    "Read all words behind the number in lower case, since case is of no importance.",
                    "words = sys.stdin.read().lower().split()[1:]\n",
                ),
                (
                    "Read all words behind the number and keep the first copy of each of them.",
                    "words = list(dict.fromkeys(sys.stdin.read().split()[1:]))\n",
                ),
            ),
            step(
                (
                    "The key of a word is its lower-case letters in sorted order.",
                    'groups = {}\nfor word in words:\n    key = "".join(sorted(word.lower()))\n',
                ),
                (
                    "The key of a word is its letters, as they are written, in sorted order.",
                    'groups = {}\nfor word in words:\n    key = "".join(sorted(word))\n',
                ),
                (
                    "The key of a word is the set of its lower-case letters.",
                    "groups = {}\nfor word in words:\n    key = frozenset(word.lower())\n",
                ),
                (
                    "The key of a word is the sum of the codes of its lower-case letters.",
                    "groups = {}\nfor word in words:\n    key = sum(map(ord, word.lower()))\n",
                ),
            ),
            step(
                (
                    "Append the word to the list of its key, and at the end keep the lists of two or more.",
                    "    groups.setdefault(key, []).append(word)\n"
                    "shared = [g for g in groups.values() if len(g) > 1]\n",
                ),
                (
                    "Append the word to the list of its key, and at the end keep the lists of three or more.",
                    "    groups.setdefault(key, []).append(word)\n"
                    "shared = [g for g in groups.values() if len(g) > 2]\n",
                ),
                (
                    "Append the word to the list of its key, and at the end take all the lists.",
                    "    groups.setdefault(key, []).append(word)\nshared = list(groups.values())\n",
                ),
                (
                    "Put the word at the front of the list of its key, and keep the lists of two or more.",
                    "    groups.setdefault(key, []).insert(0, word)\n"
                    "shared = [g for g in groups.values() if len(g) > 1]\n",
                ),
            ),
            step(
                (
                    "Sort by size, largest first, which keeps ties in their order, and print the lines or none.",
                    "shared.sort(key=len, reverse=True)\n"
                    'print("\\n".join(" ".join(group) for group in shared) or "none")\n',
                ),
                (
                    "Sort by size, turn the list round so that the largest stands first, and print lines or none.",
                    "shared.sort(key=len)\nshared.reverse()\n"
                    'print("\\n".join(" ".join(group) for group in shared) or "none")\n',
                ),
                (
                    "Sort by size, largest first and ties by the alphabet, and print the lines or none.",
                    "shared.sort(key=lambda group: (-len(group), group))\n"
                    'print("\\n".join(" ".join(group) for group in shared) or "none")\n',
                ),
                (
                    "The groups already stand in the order of their first words, so print the lines or none.",
                    'print("\\n".join(" ".join(group) for group in shared) or "none")\n',
                ),
            ),
        ),
    ),
    BankEntry(
        name="mirror_repairs",
        difficulty="easy",
        entry_point="mirror_repairs",
        statement="""
Write a function mirror_repairs(text). Only the letters and digits of the text count, with upper and
lower case alike; everything else is skipped. Return the smallest number of these characters that
have to be replaced by others so that the remaining sequence reads the same in both directions.
A text without letters and digits needs 0 replacements.
""",
        public=((("Never odd, or even!",), 0), (("cat",), 1)),
        private=(
            (("",), 0),
            (("?!",), 0),
            (("x",), 0),
            (("ab",), 1),
            (("Level 5",), 3),
            (("abcdef",), 3),
            (("1a2, 2A7",), 1),
            (("go-to-bed",), 3),
            (("b2c4",), 2),
            (("Aa",), 0),
        ),
        prologue="def mirror_repairs(text):\n",
        steps=(
            step(
                (
                    "Keep the letters and digits of the text, all in lower case.",
                    "    kept = [c.lower() for c in text if c.isalnum()]\n",
                ),
                (
                    "Keep the letters of the text, all in lower case.",
                    "    kept = [c.lower() for c in text if c.isalpha()]\n",
                ),
                (
                    "Keep the letters and digits of the text in the way they are written.",
                    "    kept = [c for c in text if c.isalnum()]\n",
                ),
                (
                    "Take all the spaces out of the text and put the rest into lower case.",
                    '    kept = list(text.lower().replace(" ", ""))\n',
                ),
            ),
            step(
                (
                    "Put one pointer on the first and one on the last kept character; there are no repairs yet.",
                    "    left, right, repairs = 0, len(kept) - 1, 0\n",
                ),
                (
                    "Put one pointer on the first character and one on the last index of the text; no repairs yet.",
                    "    left, right, repairs = 0, len(text) - 1, 0\n",
                ),
                (
                    "Put the pointers on both ends; with an odd number of characters the middle needs one repair.",
                    "    left, right, repairs = 0, len(kept) - 1, len(kept) % 2\n",
                ),
                (
                    "Put one pointer on the second kept character and one on the last, with no repairs yet.",
                    "    left, right, repairs = 1, len(kept) - 1, 0\n",
                ),
            ),
            step(
                (
                    "While the left pointer stands before the right one, count a repair if the characters differ.",
                    "    while left < right:\n        if kept[left] != kept[right]:\n"
                    "            repairs += 1\n",
                ),
                (
                    "While characters lie between the pointers, count one repair if the two differ.",
                    "    while left < right - 1:\n        if kept[left] != kept[right]:\n"
                    "            repairs += 1\n",
                ),
                (
                    "While the left pointer stands before the right one, count both characters if they differ.",
                    "    while left < right:\n        if kept[left] != kept[right]:\n"
                    "            repairs += 2\n",
                ),
                (
                    "While the pointers have not met, count a repair if the left character is the smaller one.",
                    "    while left < right:\n        if kept[left] < kept[right]:\n            repairs += 1\n",
                ),
            ),
            step(
                (
                    "Move both pointers one place inwards and return the repairs when they have met.",
                    "        left += 1\n        right -= 1\n    return repairs\n",
                ),
                (
                    "Move the left pointer one place on and return the repairs when it reaches the right one.",
                    "        left += 1\n    return repairs\n",
                ),
                (
                    "Move both pointers inwards; each pair was seen from both sides, so return half the repairs.",
                    "        left += 1\n        right -= 1\n    return repairs // 2\n",
                ),
                (
                    "Move both pointers inwards by two places and return the repairs when they have met.",
                    "        left += 2\n        right -= 2\n    return repairs\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="top_words",
        difficulty="easy",
        statement="""
The first line of the input holds a number k >= 1; the other lines, of which there may be none, are
a text. A word is an unbroken series of the letters a to z, upper and lower case alike; any other
character, also the end of a line, separates words. Print the k most frequent words in lower case,
one a line, each followed by a space and its number of occurrences. The more frequent word comes
first, words equally frequent in alphabetical order. If there are fewer than k words, print them all.
""",
        public=(
            ("2\nThe tea, the cup and the spoon.\nA cup of tea\n", "the 3\ncup 2\n"),
            ("3\nred blue red\n", "red 2\nblue 1\n"),
        ),
        private=(
            ("1\n", ""),
            ("1\nwell well\nwell\n", "well 3\n"),
            ("2\nzoo ape fox\n", "ape 1\nfox 1\n"),
            ("4\nit's what it's\n", "it 2\ns 2\nwhat 1\n"),
            ("3\nin inn winning in the inn\n", "in 2\ninn 2\nthe 1\n"),
            ("2\nx1y2x\nY3 y_y\n", "y 4\nx 2\n"),
            ("1\nb a\n\nA b\nc\n", "a 2\n"),
            ("5\nd d d cc cc\na b\n", "d 3\ncc 2\na 1\nb 1\n"),
        ),
        prologue="import re\nimport sys\n",
        steps=(
            step(
                (
                    "Read k from the first line and take all that follows in lower case as the text.",
                    'head, _, text = sys.stdin.read().lower().partition("\\n")\nk = int(head)\n',
                ),
                (
                    "Read k from the first line and take the second line in lower case as the text.",
                    "k = int(sys.stdin.readline())\ntext = sys.stdin.readline().lower()\n",
                ),
                (
                    "Read k from the first line and glue the other lines, in lower case, to one long text.",
                    'head, *lines = sys.stdin.read().lower().split("\\n")\nk = int(head)\n'
                    'text = "".join(lines)\n',
                ),
                (
                    "Read k from the first line and take all that follows, as written, for the text.",
                    "k = int(sys.stdin.readline())\ntext = sys.stdin.read()\n",
                ),
            ),
            step(
                (
                    "Find the words as the longest series of letters a to z.",
                    'words = re.findall("[a-z]+", text)\n',
                ),
                (
                    "Split the text at white space to get its words.",
                    "words = text.split()\n",
                ),
                (
                    "Find the words as the longest series of word characters.",
                    'words = re.findall(r"\\w+", text)\n',
                ),
                (
                    "Find the words as series of letters that may have an apostrophe inside.",
                    'words = re.findall("[a-z][a-z\']*", text)\n',
                ),
            ),
            step(
                (
                    "Count every word, beginning with 0 for a word that is new.",
                    "counts = {}\nfor word in words:\n    counts[word] = counts.get(word, 0) + 1\n",
                ),
                (
                    "Count every word, beginning with 1 for a word that is new.",
                    "counts = {}\nfor word in words:\n    counts[word] = counts.get(word, 1) + 1\n",
                ),
                (
                    "For every word count how many times it is found in the text.",
                    "counts = {}\nfor word in words:\n    counts[word] = text.count(word)\n",
                ),
                (
                    "Go through the set of words and count one occurrence for each.",
                    "counts = {}\nfor word in sorted(set(words)):\n"
                    "    counts[word] = counts.get(word, 0) + 1\n",
                ),
            ),
            step(
                (
                    "Order by falling count, then by the alphabet, and print the first k.",
                    "for word in sorted(counts, key=lambda w: (-counts[w], w))[:k]:\n"
                    "    print(word, counts[word])\n",
                ),
                (
                    "Order by count and word, both falling, and print the first k.",
                    "for word in sorted(counts, key=lambda w: (counts[w], w), reverse=True)[:k]:\n"
                    "    print(word, counts[word])\n",
                ),
                (
                    "Order by falling count, leaving ties as they first appeared, and print the first k.",
                    "for word in sorted(counts, key=counts.get, reverse=True)[:k]:\n"
                    "    print(word, counts[word])\n",
                ),
                (
                    "Order by falling count, then by the alphabet, and print the positions before k - 1.",
                    "for word in sorted(counts, key=lambda w: (-counts[w], w))[: k - 1]:\n"
                    "    print(word, counts[word])\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="sums_and_products",
        difficulty="medium",
        entry_point="sums_and_products",
        statement="""
Write a function sums_and_products(expr) that computes the value of an arithmetic expression. It
consists of non-negative decimal integers joined by the operators +, - and *, begins and ends with a
number, and may have spaces around numbers and operators. There are no parentheses. Multiplication
binds tighter than addition and subtraction; otherwise one computes from left to right.
""",
        public=((("2 + 3 * 4",), 14), (("10-4 * 2",), 2), (("6*2+1",), 13)),
        private=(
            (("7",), 7),
            ((" 0 * 5 + 3 ",), 3),
            (("9 - 3 + 2",), 8),
            (("1-2-3",), -4),
            (("8 - 2*3*2",), -4),
            (("120",), 120),
            (("5*5 - 4*4 - 3*3 + 0",), 0),
            (("1 + 10 * 20",), 201),
            (("3 * 4 * 5",), 60),
            (("100-1*2*3*4+6",), 82),
        ),
        prologue="import re\n\n\ndef sums_and_products(expr):\n",
        steps=(
            step(
                (
                    "Cut the expression into whole numbers and the three operators.",
                    '    tokens = re.findall(r"\\d+|[-+*]", expr)\n',
                ),
                (
                    "Cut the expression into digits and the three operators.",
                    '    tokens = re.findall(r"\\d|[-+*]", expr)\n',
                ),
                (
                    "Cut the expression at its spaces to get numbers and operators.",
                    "    tokens = expr.split()\n",
                ),
                (
                    "Cut the expression into operators and numbers that begin with a digit from 1 to 9.",
                    '    tokens = re.findall(r"[1-9]\\d*|[-+*]", expr)\n',
                ),
            ),
            step(
                (
                    "Nothing is summed up yet; the first number opens the current product, with a plus sign.",
                    "    total, sign, product = 0, 1, int(tokens[0])\n",
                ),
                (
                    "Begin the sum with the first number, which opens the current product too, with a plus sign.",
                    "    total, sign, product = int(tokens[0]), 1, int(tokens[0])\n",
                ),
                (
                    "Nothing is summed up yet and the current product is the neutral 1, with a plus sign.",
                    "    total, sign, product = 0, 1, 1\n",
                ),
                (
                    "Nothing is summed up yet and the current product is 0, with a plus sign.",
                    "    total, sign, product = 0, 1, 0\n",
                ),
            ),
            step(
                (
                    "Take each operator with the number behind it; after a * multiply the product by it.",
                    '    for op, number in zip(tokens[1::2], tokens[2::2]):\n        if op == "*":\n'
                    "            product *= int(number)\n",
                ),
                (
                    "Take each operator with the number before it; at a * multiply the product by it.",
                    '    for op, number in zip(tokens[1::2], tokens[::2]):\n        if op == "*":\n'
                    "            product *= int(number)\n",
                ),
                (
                    "Take each operator and the number behind it; after a * multiply the product by it and the sign.",
                    '    for op, number in zip(tokens[1::2], tokens[2::2]):\n        if op == "*":\n'
                    "            product *= sign * int(number)\n",
                ),
                (
                    "Take each operator with the number behind it; after a * multiply the sum so far by it.",
                    '    for op, number in zip(tokens[1::2], tokens[2::2]):\n        if op == "*":\n'
                    "            total *= int(number)\n",
                ),
            ),
            step(
                (
                    "At + or - add the signed product to the sum and open a new one; add the last one at the end.",
                    "        else:\n            total += sign * product\n"
                    '            sign, product = (1 if op == "+" else -1), int(number)\n'
                    "    return total + sign * product\n",
                ),
                (
                    "At + or - set the sign, add the signed product and open a new one; add the last at the end.",
                    '        else:\n            sign = 1 if op == "+" else -1\n'
                    "            total += sign * product\n            product = int(number)\n"
                    "    return total + sign * product\n",
                ),
                (
                    "At + or - add the signed product and open one; a minus flips the sign. Add the last at the end.",
                    "        else:\n            total += sign * product\n"
                    '            sign, product = (sign if op == "+" else -sign), int(number)\n'
                    "    return total + sign * product\n",
                ),
                (
                    "At + or - add the signed product to the sum and open a new one; at the end return the sum.",
                    "        else:\n            total += sign * product\n"
                    '            sign, product = (1 if op == "+" else -1), int(number)\n'
                    "    return total\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="align_columns",
        difficulty="medium",
        statement="""
Each line of the input is a row of cells separated by commas; spaces around a cell do not belong to
it, and blank lines are skipped. Print the rows as a table: every column is as wide as its widest
cell, and columns are joined by " | ". Cells that are integers (digits, perhaps with a minus sign in
front) stand at the right edge of their column, all others at the left. Rows with fewer cells than
the longest row get empty cells at their end. White space at the end of a line does not matter.
""",
        public=(
            (
                "item,price\nmilk tea, 120\nfig,-5\n",
                "item     | price\nmilk tea |   120\nfig      |    -5\n",
            ),
            ("a,b\nlong\n", "a    | b\nlong |\n"),
        ),
        private=(
            ("x\n", "x\n"),
            ("n,-7\n  m , 123\n", "n |  -7\nm | 123\n"),
            ("a,b\n\nccc,d\n", "a   | b\nccc | d\n"),
            ("p\nq,r,s\n", "p |   |\nq | r | s\n"),
            ("ab,,c\n,de,f\n", "ab |    | c\n   | de | f\n"),
            ("k9,1\nlonger,22\n", "k9     |  1\nlonger | 22\n"),
            ("1,2,3\n40,50,60\n", " 1 |  2 |  3\n40 | 50 | 60\n"),
            ("x - y, 1-2\nz,10000\n", "x - y | 1-2\nz     | 10000\n"),
        ),
        prologue="import sys\n",
        steps=(
            step(
                (
                    "Split every line that is not blank at its commas and strip each cell.",
                    "rows = [[c.strip() for c in line.split(',')] for line in sys.stdin if line.strip()]\n",
                ),
                (
                    "Split every line that is not blank at its commas to get the cells.",
                    "rows = [line.rstrip().split(',') for line in sys.stdin if line.strip()]\n",
                ),
                (
                    "Split every line of the input at its commas and strip each cell.",
                    "rows = [[cell.strip() for cell in line.split(',')] for line in sys.stdin.readlines()]\n",
                ),
                (
                    "Turn the commas of every line that is not blank into spaces and split it at white space.",
                    "rows = [line.replace(',', ' ').split() for line in sys.stdin if line.strip()]\n",
                ),
            ),
            step(
                (
                    "The longest row gives the number of columns; put empty cells behind the shorter rows.",
                    "n = max(len(row) for row in rows)\nrows = [row + [''] * (n - len(row)) for row in rows]\n",
                ),
                (
                    "The first row gives the number of columns; put empty cells behind the shorter rows.",
                    "n = len(rows[0])\nrows = [row + [''] * (n - len(row)) for row in rows]\n",
                ),
                (
                    "The longest row gives the number of columns; put empty cells before the shorter rows.",
                    "n = max(len(row) for row in rows)\nrows = [[''] * (n - len(row)) + row for row in rows]\n",
                ),
                (
                    "The shortest row gives the number of columns; cut all rows off at that length.",
                    "n = min(len(row) for row in rows)\nrows = [row[:n] for row in rows]\n",
                ),
            ),
            step(
                (
                    "The width of a column is the length of its longest cell over all rows.",
                    "widths = [max(len(row[j]) for row in rows) for j in range(n)]\n",
                ),
                (
                    "The width of a column is the length of its cell in the first row.",
                    "widths = [len(rows[0][j]) for j in range(n)]\n",
                ),
                (
                    "The width of every column is the length of the longest cell in the table.",
                    "widths = [max(len(cell) for row in rows for cell in row)] * n\n",
                ),
                (
                    "The width of a column is the length of the cell that comes last by the alphabet.",
                    "widths = [len(max(row[j] for row in rows)) for j in range(n)]\n",
                ),
            ),
            step(
                (
                    "Move a cell right if it is digits after a leading minus is removed, else left; join and print.",
                    "for row in rows:\n"
                    "    cells = [c.rjust(w) if c.removeprefix('-').isdigit() else c.ljust(w) "
                    "for c, w in zip(row, widths)]\n"
                    "    print(' | '.join(cells))\n",
                ),
                (
                    "Move a cell right if it consists of digits, else left; join the cells and print.",
                    "for row in rows:\n"
                    "    cells = [c.rjust(w) if c.isdigit() else c.ljust(w) for c, w in zip(row, widths)]\n"
                    "    print(' | '.join(cells))\n",
                ),
                (
                    "Move a cell right if there is a digit anywhere in it, else left; join the cells and print.",
                    "for row in rows:\n"
                    "    cells = [c.rjust(w) if any(map(str.isdigit, c)) else c.ljust(w) "
                    "for c, w in zip(row, widths)]\n"
                    "    print(' | '.join(cells))\n",
                ),
                (
                    "Fill every cell up at its right side to the width of the column; join the cells and print.",
                    "for row in rows:\n"
                    "    cells = [c.ljust(w) for c, w in zip(row, widths)]\n"
                    "    print(' | '.join(cells))\n",
                ),
            ),
        ),
    ),
    BankEntry(
        name="strip_comments",
        difficulty="medium",
        entry_point="strip_comments",
        statement="""
Write a function strip_comments(source) that removes the comments from a program text and returns
the rest unchanged, with all its line breaks and spaces. A comment runs from the character # to the
end of its line, but a # between two double quotes (") is ordinary text. Within double quotes a
backslash makes the next character ordinary, whatever it is. Quotes that are still open at the end
of a line end there. Lines are separated by a line feed; the source may be empty.
""",
        public=(
            (('x = 1  # one\ny = "#2"\n',), 'x = 1  \ny = "#2"\n'),
            (('say "a \\" # b" # c',), 'say "a \\" # b" '),
            (('k = "1"#j\nz  ',), 'k = "1"\nz  '),
        ),
        private=(
            (("",), ""),
            (("# all\n#\n",), "\n\n"),
            (('p "b # c" "d#" # e',), 'p "b # c" "d#" '),
            (('q "\\\\" # e\n',), 'q "\\\\" \n'),
            (('r "open # f\ns # g\nt',), 'r "open # f\ns \nt'),
            (("it's # h's\nv\n\n\nw",), "it's \nv\n\n\nw"),
            (('u#i "k\n"#l"#m',), 'u\n"#l"'),
            (("plain",), "plain"),
        ),
        prologue="def strip_comments(source):\n",
        steps=(
            step(
                (
                    "Collect the kept characters; at first we are in no string, no comment and behind no backslash.",
                    "    out = []\n    in_string = in_comment = escaped = False\n",
                ),
                (
                    "Trim the source, collect the kept characters, and begin outside of strings and comments.",
                    "    out = []\n    source = source.strip()\n    in_string = in_comment = escaped = False\n",
                ),
                (
                    "Take the escaped quotes out first, so that each quote left over opens or closes a string.",
                    "    out = []\n    source = source.replace('\\\\\"', '')\n"
                    "    in_string = in_comment = escaped = False\n",
                ),
                (
                    "Collect the kept characters; a line counts as a comment until something else turns up.",
                    "    out = []\n    in_string = escaped = False\n    in_comment = True\n",
                ),
            ),
            step(
                (
                    "Read character by character; a line feed ends string, comment and backslash.",
                    "    for ch in source:\n        if ch == '\\n':\n"
                    "            in_string = in_comment = escaped = False\n",
                ),
                (
                    "Read character by character; a line feed ends a comment and leaves a string open.",
                    "    for ch in source:\n        if ch == '\\n':\n"
                    "            in_comment = escaped = False\n",
                ),
                (
                    "Read character by character; a line feed closes the string that is open at this point.",
                    "    for ch in source:\n        if ch == '\\n':\n            in_string = escaped = False\n",
                ),
                (
                    "Merge doubled line feeds, then read each character; a line feed ends whatever is open.",
                    "    for ch in source.replace('\\n\\n', '\\n'):\n        if ch == '\\n':\n"
                    "            in_string = in_comment = escaped = False\n",
                ),
            ),
            step(
                (
                    "In a string an unescaped quote closes it, and an unescaped backslash escapes what follows.",
                    "        elif in_string:\n            in_string = escaped or ch != '\"'\n"
                    "            escaped = ch == '\\\\' and not escaped\n",
                ),
                (
                    "In a string a quote closes it unless a backslash stands directly before the quote.",
                    "        elif in_string:\n            in_string = escaped or ch != '\"'\n"
                    "            escaped = ch == '\\\\'\n",
                ),
                (
                    "In a string the next quote closes it, and every other character belongs to it.",
                    "        elif in_string:\n            in_string = ch != '\"'\n",
                ),
                (
                    "In a string a quote or a number sign closes it, except directly behind a backslash.",
                    "        elif in_string:\n            in_string = escaped or ch not in '\"#'\n"
                    "            escaped = ch == '\\\\' and not escaped\n",
                ),
            ),
            step(
                (
                    "Elsewhere a quote opens a string and # a comment; keep what stands outside of comments.",
                    "        elif ch == '\"' and not in_comment:\n            in_string = True\n"
                    "        elif ch == '#':\n            in_comment = True\n"
                    "        if not in_comment:\n            out.append(ch)\n    return ''.join(out)\n",
                ),
                (
                    "Elsewhere either kind of quote opens a string and # a comment; keep what is no comment.",
                    "        elif ch in '\"\\'' and not in_comment:\n            in_string = True\n"
                    "        elif ch == '#':\n            in_comment = True\n"
                    "        if not in_comment:\n            out.append(ch)\n    return ''.join(out)\n",
                ),
                (
                    "Elsewhere a quote opens a string, and # behind a blank or at the start opens a comment.",
                    "        elif ch == '\"' and not in_comment:\n            in_string = True\n"
                    "        elif ch == '#' and (not out or out[-1].isspace()):\n"
                    "            in_comment = True\n"
                    "        if not in_comment:\n            out.append(ch)\n    return ''.join(out)\n",
                ),
                (
                    "Keep each character outside of comments, then see if it opens a string or a comment.",
                    "        if not in_comment:\n            out.append(ch)\n"
                    "        if ch == '#' and not in_string:\n            in_comment = True\n"
                    "        elif ch == '\"' and not in_comment:\n            in_string = True\n"
                    "    return ''.join(out)\n",
                ),
            ),
        ),
    ),
)
