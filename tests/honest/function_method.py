"""Defines its entry point as a method of a solution class."""
# kind: function
# args: ([2, 7, 11], 9)
# expected: [0, 1]



class Solution:
    def two_sum(self, numbers, target):
        seen = {}
        for i, n in enumerate(numbers):
            if target - n in seen:
                return [seen[target - n], i]
            seen[n] = i


f = Solution().two_sum
