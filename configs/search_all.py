"""Every algorithm and baseline at the cost of a model server: 60 s of the cost model a problem.

    codeprm search configs/search_all.py --model runs/quickstart-bank/train --out runs/search-all

The budget counts tokens, executions and scored tokens together, so that an arm that thinks more and
runs less is compared fairly. `--arms "GVR PRM" "beam PRM"` takes some of them; an arm of your own
is an `Arm(...)` in the list.
"""

from codeprm_jax.evaluation.benchmark import BenchmarkConfig, SearchPreset
from codeprm_jax.search.arms import ALL_ARMS
from codeprm_jax.search.ledger import Budget

config = SearchPreset(ALL_ARMS, BenchmarkConfig(Budget(60, "seconds"), repeats=4))
