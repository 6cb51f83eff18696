"""All that was declared: what can be used, and what cannot and why."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from include.config.types import FeatureView, ModelDeclaration
from include.domain.errors import Refusal


class BadDeclaration(Refusal, ValueError):
    """A declaration that cannot be used; the message has one line for each thing wrong with it."""

    def __init__(self, file: Path, problems: list[str]) -> None:
        self.file = file
        self.problems = problems
        super().__init__("\n".join(problems))


class UnknownName(Refusal, KeyError):
    """A model or view that is not declared."""

    def __init__(self, kind: str, name: str, declared: list[str]) -> None:
        close = difflib.get_close_matches(name, declared, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        self.message = f"There is no {kind} {name!r}; declared are: {', '.join(declared) or 'none'}.{hint}"
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class Declarations:
    """All that was declared: what can be used, and what is broken and why."""

    views: dict[str, FeatureView]
    models: dict[str, ModelDeclaration]
    broken: dict[Path, BadDeclaration]

    def model(self, name: str) -> ModelDeclaration:
        if name not in self.models:
            raise UnknownName("model", name, sorted(self.models))
        return self.models[name]

    def view(self, name: str) -> FeatureView:
        """The view of that name; ``name@v1`` for an older version that is kept beside it."""
        if name not in self.views:
            raise UnknownName("view", name, sorted(self.views))
        return self.views[name]

    def version(self, name: str, version: int) -> FeatureView | None:
        """That version of the view, be it the current one or kept beside it; None when it is neither."""
        known = (self.views.get(ref) for ref in (name, f"{name}@v{version}"))
        return next((view for view in known if view is not None and view.version == version), None)
