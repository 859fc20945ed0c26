"""Normalises text and folds its case."""
# kind: function
# args: ("Ｓtraße é",)
# expected: ["strasse e\u0301", 8, "LATIN SMALL LETTER SHARP S"]

import unicodedata


def f(x):
    plain = unicodedata.normalize("NFKD", x).casefold()
    return [plain, len(x), unicodedata.name(x[4])]
