"""What ``slipway validate`` says: everything that is wrong with the declarations, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from include.config import BadDeclaration, Declarations, FeatureView, loader, old_keys, read_declarations
from include.config.loader import line_of
from include.config.scored_ahead import finer_than
from include.config.settings import settings
from include.config.streaming import never_fresh
from include.workflows.validation import queries
from include.workflows.validation.canary_rows import cannot_be_shown, rows_by_step
from include.workflows.validation.source_shapes import SourceShapes

OFFLINE = "no SQL was bound to its source, since this was asked offline."


@dataclass(frozen=True, slots=True)
class Validated:
    """What is wrong, and what can be used."""

    views: tuple[str, ...]
    """Usable views, by name."""
    models: tuple[str, ...]
    """Usable models, by name."""
    problems: tuple[str, ...]
    """Each with file and line."""
    notes: tuple[str, ...]
    """What is allowed, and a person should know."""
    broken: int
    """How many views, models and files cannot be used."""
    not_bound: str | None
    """Why the SQL was not bound to its source; None where it was."""

    @property
    def is_empty(self) -> bool:
        return not (self.views or self.models or self.problems)


def validate(root: Path | None = None, *, offline: bool = False) -> Validated:
    """Read the declarations below ``root``, None for the project's, and check all that can be known before a run.

    The source is asked for the schemas of its tables; no row is read. With ``offline`` it is not asked.
    """
    read = read_declarations(root)
    wrong: dict[str, list[str]] = {str(file): error.problems for file, error in read.broken.items()}
    shapes = None if offline else SourceShapes(settings().source_url)
    bound = queries.check(read, shapes)
    for found in (bound.wrong, _cannot_be_built(read), _of_views(read), _canaries(read)):
        for whose, lines in found.items():
            wrong.setdefault(whose, []).extend(lines)
    try:
        loader.trusted_types(root / "models" if root else None)
    except BadDeclaration as error:
        wrong[str(error.file)] = error.problems
    views = tuple(name for name in sorted(read.views) if f"view {name}" not in wrong)
    models = tuple(name for name in sorted(read.models) if _is_usable(read, name, wrong))
    not_bound = OFFLINE if shapes is None else shapes.unread
    if shapes is not None and shapes.unread is not None:
        not_bound = f"no SQL was bound to its source. {shapes.unread} Start it, or say --offline."
    notes = [
        *_former_keys(root),
        *_not_fresh(read),
        *_asked_too_often(read),
        *rows_by_step(read),
        *_cannot_judge(read, of_project=root is None),
    ]
    problems = tuple(dict.fromkeys(line for lines in wrong.values() for line in lines))
    return Validated(views, models, problems, tuple(notes), len(wrong), not_bound)


def _is_usable(read: Declarations, name: str, wrong: dict[str, list[str]]) -> bool:
    return f"model {name}" not in wrong and all(f"view {use.view}" not in wrong for use in read.models[name].views)


def _of_views(read: Declarations) -> dict[str, list[str]]:
    """By view, a line for each thing that it names and that cannot be imported, and for each expectation that Great
    Expectations would refuse."""
    from include.config.own_paths import wrong_in_view

    found = {}
    for name, view in sorted(read.views.items()):
        lines = [f"{line_of(view.file, where)}: {line}" for where, line in wrong_in_view(view)]
        lines += _wrong_expectations(view)
        if lines:
            found[f"view {name}"] = lines
    return found


def _wrong_expectations(view: FeatureView) -> Iterator[str]:
    from include.adapters import expectations

    kinds = {column.name: column.kind for column in view.columns}
    others = dict.fromkeys([*view.keys, *view.carries, *queries.TIMES], "")
    for position, argument, told in expectations.wrong(view.quality.expectations, {**kinds, **others}):
        where = ("quality", "expectations", position, *(("kwargs", argument) if argument else ()))
        shown = f"quality.expectations.{position}"
        yield f"{line_of(view.file, where)}: {queries.sentence(f'{shown}: {told}')}"


def _canaries(read: Declarations) -> dict[str, list[str]]:
    """By model, a line for each step of its canary whose rows cannot show what it must."""
    return {f"model {name}": lines for name, model in read.models.items() if (lines := list(cannot_be_shown(model)))}


def _not_fresh(read: Declarations) -> list[str]:
    """A line for each view whose rows would be missing for most readers of the online store."""
    return [
        f"{line_of(view.file, ('ttl',))}: {why}."
        for _, view in sorted(read.views.items())
        if (why := never_fresh(view)) is not None
    ]


def _asked_too_often(read: Declarations) -> list[str]:
    """A line for each view that has new rows less often than a model that reads it answers."""
    return [
        f"{line_of(model.file, ('score', 'every'))}: {line}."
        for _, model in sorted(read.models.items())
        if model.score is not None
        for line in finer_than(model.score, {use.view: read.views[use.view] for use in model.views})
    ]


def _cannot_be_built(read: Declarations) -> dict[str, list[str]]:
    """By model, a line for each thing it names that cannot be imported, made, or loaded again; only models with such
    lines."""
    from include.config.own_paths import wrong_in
    from include.workflows.evidence.business import wrong_in as wrong_sql
    from include.workflows.scoring.fitted_models import cannot_be_built
    from include.workflows.selftest.seeds import unknown_seeds

    found: dict[str, list[str]] = {}
    for name, model in sorted(read.models.items()):
        known = {use.view: {c.name: c.kind for c in read.views[use.view].columns} for use in model.views}
        kinds = {feature: known[use.view][feature] for use in model.views for feature in use.features}
        spine = read.views[model.entity.view]
        wrong = [*wrong_in(model), *unknown_seeds(model), *wrong_sql(model, [*spine.keys, "event_time", *kinds])]
        unmade = cannot_be_built(model, kinds)
        if unmade is not None:
            wrong.append((tuple(int(part) if part.isdigit() else part for part in unmade[0].split(".")), unmade[1]))
        if wrong:
            found[f"model {name}"] = [f"{line_of(model.file, where)}: {line}" for where, line in wrong]
    return found


def _former_keys(root: Path | None) -> list[str]:
    """A line for each key of a declaration that has another name now; the former one is read, too."""
    folder = (root or loader.ROOT) / "models"
    found = []
    for file in (*folder.glob("tiers.yaml"), *sorted(folder.glob("*/model.yaml"))):
        try:
            data = loader.mapping_in(file)
        except BadDeclaration:
            continue  # what is wrong with it is among the problems
        tiers = data if file.name == "tiers.yaml" else {}
        for where, block in [((), data), *(((tier,), given) for tier, given in tiers.items())]:
            gates = block.get("gates") if isinstance(block, dict) else None
            for old, now in old_keys.FORMER.items():
                if isinstance(gates, dict) and old in gates:
                    place = (*where, "gates", old)
                    path = ".".join(place)
                    found.append(f"{loader.line_of(file, place)}: {path} is called {now} now; it is read all the same.")
    return found


def _cannot_judge(read: Declarations, *, of_project: bool) -> list[str]:
    """The parts of each model's sensor that can never judge, with numbers of rows when the project's ledger has its
    days."""
    from include.adapters.ledger import LedgerError, LedgerUnavailable
    from include.workflows import stores
    from include.workflows.drift.can_judge import never_judged, rows_a_day
    from include.workflows.gates.shadow import labels_too_late

    rows: dict[str, float | None] = {}
    url, file = settings().ledger_url, "sqlite:///"
    if of_project and not (url.startswith(file) and not Path(url.removeprefix(file)).is_file()):
        try:
            with stores.open_ledger() as ledger:
                rows = {name: rows_a_day(ledger, read, model) for name, model in read.models.items()}
        except (LedgerError, LedgerUnavailable) as error:
            return [f"how many rows a day has is not known: {error}"]
    late = {name: labels_too_late(model) for name, model in read.models.items()}
    return [
        line
        for name, model in sorted(read.models.items())
        for line in (*never_judged(model, rows.get(name)), *([f"{name}: {late[name]}"] if late[name] else []))
    ]
