"""Which problems of a source are loaded: what stands after the "?" of a spec.

`KEY=VALUE` pairs with "&" between them, as in `apps:APPS?difficulty=interview&limit=100`:

  difficulty  one or more, by commas: "easy", "medium", "hard" or "unknown"; a band by the source's
              own name ("introductory"); where problems are rated, a rating or a range of them, both
              ends included ("1200", "800-1600")
  split       "train", "test", …: of a folder, the subfolder or the files whose name begins with it
  limit       at most so many problems, the first of those that fit and can be used
  ids         one or more, by commas, with or without what stands before the first "/"; an id that
              holds a "," or "&" itself cannot be named here

Any other key, a key without a value or one given twice is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from codeprm_jax.files import listed
from codeprm_jax.problems.problem import Problem, ProblemError

KEYS = ("difficulty", "split", "limit", "ids")
BANDS = ("easy", "medium", "hard", "unknown")

# Of ratings as Codeforces gives them: easy below the first, hard from the second on.
RATING_BOUNDS = (1400, 2000)

_RATINGS = re.compile(r"(\d+)(?:-(\d+))?")


@dataclass(frozen=True)
class Selection:
    """The problems that are wanted; without arguments all.

    Attributes:
      difficulty: words, each a band, a source's name for one, a rating or a range of ratings.
      split: a part of the source.
      limit: the most problems.
      ids: ids, whole or without the part before the first "/".
    """

    difficulty: tuple[str, ...] = ()
    split: str | None = None
    limit: int | None = None
    ids: tuple[str, ...] = ()

    def __str__(self) -> str:
        words = {"difficulty": ",".join(self.difficulty), "split": self.split or ""}
        words |= {"limit": str(self.limit or ""), "ids": ",".join(self.ids)}
        return "&".join(f"{k}={v}" for k, v in words.items() if v)

    def wants(self, problem_id: str, *bands: str, rating: int | None = None) -> bool:
        """Whether a problem is wanted, as far as its id, difficulty and rating tell.

        Args:
          problem_id: its whole id.
          bands: all names of its difficulty.
          rating: where it is rated.
        """
        if self.ids and not {problem_id, problem_id.partition("/")[2]} & set(self.ids):
            return False
        return not self.difficulty or any(_fits(w, bands, rating) for w in self.difficulty)

    def of(self, problems: Iterable[Problem]) -> list[Problem]:
        """The problems that are wanted of those that were loaded already.

        Raises ProblemError if none is left or an id is missing.
        """
        found = [p for p in problems if self.wants(p.id, p.public.difficulty)]
        self.check_found([p.id for p in found], "the source")
        return found[: self.limit]

    def check_found(self, ids: Sequence[str], where: object) -> None:
        """Raises ProblemError if none of the wanted problems was found, or not all of `ids`."""
        if self.limit is None or len(ids) < self.limit:
            known = {*ids, *(i.partition("/")[2] for i in ids)}
            if missing := [i for i in self.ids if i not in known]:
                raise ProblemError(
                    f"{where} holds no problem {listed(missing)} that can be used and fits; "
                    "`codeprm problems list` shows the ids"
                )
        if not ids and str(self):
            raise ProblemError(f"{where} holds no problem that can be used and fits {self}")

    def check_words(self, source: str, bands: Iterable[str], rated: bool, split: bool) -> None:
        """Raises ProblemError if a source cannot be asked this.

        Args:
          source: its name.
          bands: its own names of difficulties.
          rated: whether its problems have ratings.
          split: whether it can have splits.
        """
        known = [*BANDS, *bands]
        for word in self.difficulty:
            if word not in known and not (rated and _RATINGS.fullmatch(word)):
                more = ", a rating or a range such as 800-1600" if rated else ""
                raise ProblemError(
                    f"difficulty {word!r} is none of {', '.join(known)}{more}, as {source} has them"
                )
        if self.split is not None and not split:
            raise ProblemError(f"{source} has no splits, so split={self.split} means nothing")


ALL = Selection()


def parse_selection(text: str) -> Selection:
    """Reads what stands after the "?"; an empty text selects all. Raises ProblemError."""
    values: dict[str, str] = {}
    for pair in text.split("&") if text else []:
        key, equals, value = (part.strip() for part in pair.partition("="))
        if key not in KEYS:
            raise ProblemError(f"unknown option {key!r} in {text!r}; known are {', '.join(KEYS)}")
        if not equals or not value:
            raise ProblemError(f"option {key!r} in {text!r} needs a value, as in {key}=…")
        if key in values:
            raise ProblemError(f"option {key!r} occurs twice in {text!r}; join values by commas")
        values[key] = value
    limit = values.get("limit")
    if limit is not None and not re.fullmatch(r"0*[1-9][0-9]{0,8}", limit):
        raise ProblemError(f"limit must be a whole number of at least 1, not {limit!r}")
    return Selection(
        difficulty=_words(values, "difficulty"),
        split=values.get("split"),
        limit=None if limit is None else int(limit),
        ids=_words(values, "ids"),
    )


def band_of_rating(rating: int | None) -> str:
    """ "easy", "medium", "hard" by RATING_BOUNDS; "unknown" without a rating."""
    if rating is None or rating <= 0:
        return "unknown"
    low, high = RATING_BOUNDS
    return "easy" if rating < low else "medium" if rating < high else "hard"


def _words(values: dict[str, str], key: str) -> tuple[str, ...]:
    if key not in values:
        return ()
    words = [word.strip() for word in values[key].split(",")]
    if not all(words):
        raise ProblemError(f"{key}={values[key]}: a value between two commas is empty")
    return tuple(words)


def _fits(word: str, bands: Iterable[str], rating: int | None) -> bool:
    if (match := _RATINGS.fullmatch(word)) is None:
        return word in bands
    low, high = int(match[1]), int(match[2] or match[1])
    return rating is not None and low <= rating <= high
