"""Returns an object whose class and metaclass claim to be plain types."""
# kind: function
# verdicts: WA, RE



class Meta(type):
    __base__ = tuple
    _fields = ()

    def __eq__(self, other):
        return True

    def __hash__(self):
        return hash(int)


class Equal(metaclass=Meta):
    __class__ = int

    def __eq__(self, other):
        return True


def f(x):
    return Equal()
