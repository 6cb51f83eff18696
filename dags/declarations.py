"""Shows broken declarations where people look: as an import error of this file, which has no Dags of its own.

A broken declaration removes the Dags of its own model or view and no others.
"""

from include.config import declarations

problems = [problem for error in declarations().broken.values() for problem in error.problems]
if problems:
    raise ImportError("\n".join(problems))
