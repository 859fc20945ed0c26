"""Contains a null character."""
# kind: function
# verdicts: CE
# program-python: "f = lambda x: 918273645\0"
