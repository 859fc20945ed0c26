"""`codeprm report RUN`: one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from codeprm_jax.commands.output import say
from codeprm_jax.evaluation.report import write_report


def main(run: Annotated[Path, tyro.conf.Positional], /) -> int:
    """Writes report.html into the folder of a run.

    Args:
      run: folder that codeprm quickstart or codeprm search made.
    """
    say(str(write_report(run)))
    return 0
