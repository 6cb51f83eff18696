"""The wings of the workflows: their order from import-linter's contract, what each does from its own docstring."""

from __future__ import annotations

import ast
import tomllib

from docs.generator.markdown import first_paragraph, page, table
from include.config.settings import PROJECT

WORKFLOWS = PROJECT / "include" / "workflows"


def order() -> list[list[str]]:
    """The floors from above to below; wings of one floor do not know one another."""
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(each["layers"] for each in contracts["contracts"] if each.get("containers") == ["include.workflows"])
    return [[name.strip() for name in floor.split("|")] for floor in layers]


def sentences(name: str) -> str:
    """What a wing, or a module beside the wings, says of itself."""
    folder = WORKFLOWS / name
    file = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    return first_paragraph(ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))))


def page_of() -> str:
    rows = [[f"`{name}`", sentences(name)] for floor in order() for name in floor]
    return page(
        "# Wings of the workflows",
        "`include/workflows` is cut into folders. Each uses only those below it in this table; `make lint` checks it. "
        "What is at the bottom knows least.",
        table(("wing", "what comes in, and what goes out"), rows),
    )
