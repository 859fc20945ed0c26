"""Returns text of surrogates, null characters and unpaired marks."""
# kind: function
# verdicts: WA



def f(x):
    return "\ud800\udfff\0\u202e\ufeff" * 100 + "\udc80"
