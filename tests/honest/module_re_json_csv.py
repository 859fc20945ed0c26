"""Parses by regular expressions, JSON and CSV."""
# kind: function
# args: ("a=1;b=22",)
# expected: ["{\"a\": 1, \"b\": 22}", "a,1\r\nb,22\r\n"]

import csv
import io
import json
import re


def f(x):
    found = {m["k"]: int(m["v"]) for m in re.finditer(r"(?P<k>\w)=(?P<v>\d+)", x)}
    out = io.StringIO()
    csv.writer(out).writerows(found.items())
    return [json.dumps(found), out.getvalue()]
