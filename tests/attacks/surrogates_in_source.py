"""Contains half a character."""
# kind: function
# verdicts: CE, WA
# program-python: "f = lambda x: '\ud800'"
