"""Uses data classes, generics, protocols and typed dicts."""
# kind: function
# args: (3,)
# expected: {"x": [3]}

from dataclasses import asdict, dataclass, field
from typing import Generic, List, NamedTuple, Protocol, TypedDict, TypeVar, get_type_hints

T = TypeVar("T")


class Box(Generic[T]):
    def __init__(self, item: T) -> None:
        self.item = item


class Sized(Protocol):
    def size(self) -> int: ...


class D(TypedDict):
    x: int


class N(NamedTuple):
    x: int = 0


@dataclass(frozen=True)
class A:
    x: "List[int]" = field(default_factory=list)


def f(x):
    get_type_hints(A)
    return asdict(A([Box[int](x).item + N().x]))
