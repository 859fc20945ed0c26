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
)
