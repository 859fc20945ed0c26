"""Keeps a table in a data base in memory, where the interpreter has one."""
# kind: function
# args: ([3, 1, 2],)
# expected: [1, 2, 3]



def f(x):
    try:
        import sqlite3
    except ImportError:
        return sorted(x)
    with sqlite3.connect(":memory:") as base:
        base.execute("create table t (n integer)")
        base.executemany("insert into t values (?)", [(n,) for n in x])
        return [n for (n,) in base.execute("select n from t order by n")]
