"""Chains 200,000 calls, to break the compiler's stack."""
# kind: function
# verdicts: CE
# program-python: "f = x" + "()" * 200_000
