"""Nests ten thousand parentheses, to break the parser's stack."""
# kind: function
# verdicts: CE
# program-python: "(" * 10000 + ")" * 10000
