"""Matches patterns, with walrus, star and format expressions on the way."""
# kind: function
# args: ([1, 2, 3],)
# expected: "first=1 rest=[2, 3] 0003.50"



def f(x):
    match x:
        case [first, *rest] if (n := len(rest)) > 1:
            return f"{first=} {rest=} {n + 1.5:07.2f}"
        case _:
            return None
