"""Uses generators that delegate, receive and close."""
# kind: function
# args: ([1, [2, [3]]],)
# expected: [1, 2, 3, "got 5", "closed"]

log = []


def flat(x):
    for item in x:
        if isinstance(item, list):
            yield from flat(item)
        else:
            yield item


def talk():
    try:
        log.append(f"got {(yield)}")
        yield
    finally:
        log.append("closed")


def f(x):
    t = talk()
    next(t)
    t.send(5)
    t.close()
    return [*flat(x), *log]
