"""Is no Python."""
# kind: function
# verdicts: CE

def f(x) return 918273645
