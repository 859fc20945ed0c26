"""The comparison of the paper at eight executions: does a PRM choose the better step to rewrite?

    codeprm search configs/search_core.py --model runs/quickstart-bank/train --out runs/search

Five arms, five searches a problem. On the bank with the quickstart's model it takes about a minute
on two cores; docs/results.md has what came of it.
"""

from codeprm_jax.evaluation.benchmark import BenchmarkConfig, SearchPreset
from codeprm_jax.search.arms import CORE_ARMS

config = SearchPreset(CORE_ARMS, BenchmarkConfig())
