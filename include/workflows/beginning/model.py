"""``slipway new model --from-view``: a model's declaration from a view of one's own, with windows and least numbers of
rows that its table can fill."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from include.adapters import files
from include.config import FeatureView, loader
from include.config.settings import settings
from include.config.types import is_name
from include.domain.wording import count_of
from include.workflows.beginning import guesses
from include.workflows.beginning.guesses import CannotBegin, Meaning
from include.workflows.beginning.model_text import BY_TASK, LABEL, MODEL
from include.workflows.beginning.yaml_words import as_text, listed

if TYPE_CHECKING:
    from include.adapters.source import FoundColumn, FoundTable

Task = Literal["binary", "multiclass", "regression"]
DAY_S = 86400.0
MOST_CLASSES = 20


@dataclass(frozen=True, slots=True)
class WantedModel:
    """What a person said about a model."""

    name: str
    view: str
    label: str | None
    owner: str = "somebody"
    task: str | None = None
    label_known: str | None = None


@dataclass(frozen=True, slots=True)
class Windows:
    """How the past is cut, in days, and how many rows a day of it has."""

    learned: int
    held_out: int
    delay_days: int
    rows_a_day: float
    start: datetime
    """As of when there is enough for the first champion."""
    end: datetime
    """The day after the last."""

    def least(self, days: float, at_least: int) -> int:
        """Half of what so many days usually have."""
        return max(at_least, round(0.5 * self.rows_a_day * days))


@dataclass(frozen=True, slots=True)
class NewModel:
    """What was written, and how each part of it was come by."""

    name: str
    folder: Path
    view: FeatureView
    task: Task
    task_how: str
    label: FoundColumn
    classes: tuple[str, ...]
    known: Meaning
    delay: str
    delay_how: str
    features: tuple[str, ...]
    windows: Windows
    enough: bool

    @property
    def run(self) -> str:
        last = min(self.windows.end, self.windows.start + timedelta(days=14))
        return f"slipway run --from {self.windows.start:%Y-%m-%d} --to {last:%Y-%m-%d}"

    def lines(self) -> tuple[str, ...]:
        classes = ""
        if self.classes:
            positive = f"; {self.classes[-1]!r} is what is looked for" if self.task == "binary" else ""
            classes = f"; classes {', '.join(self.classes)}, guessed: in their order{positive}"
        known = f"`{self.known.column}`" if self.known.column else "a day after the event"
        w = self.windows
        lines = [
            f"Wrote {self.folder / 'model.yaml'} and label.sql.",
            f"  task: {self.task} ({self.task_how}){classes}",
            f"  label known: {known} ({self.known.how})",
            f"  label delay: {self.delay} ({self.delay_how})",
            f"  features: {', '.join(self.features)}",
            f"  windows: {w.learned} days learned, {w.held_out} held out (guessed: {w.rows_a_day:,.0f} rows a day)",
        ]
        if self.label.name in self.view.features:
            lines.append(
                f"  `{self.label.name}` is a feature of {self.view.ref}, too; this model does not read it, and others "
                "must not: take it out of the view"
            )
        if not self.enough:
            lines.append(
                "  the table has too few days for that: a first champion needs "
                f"{w.learned + w.held_out + w.delay_days} before it, so load more of the past first"
            )
        return (*lines, f"Next: check model.yaml and label.sql, then `slipway validate` and `{self.run}`.")

    def as_json(self) -> dict[str, Any]:
        return {
            "model": self.name,
            "folder": str(self.folder),
            "view": self.view.ref,
            "task": self.task,
            "label": self.label.name,
            "classes": list(self.classes),
            "label_known": {"columns": list(self.known.columns), "how": self.known.how, "guess": self.known.is_guess},
            "delay": self.delay,
            "features": list(self.features),
            "windows": {"learned": self.windows.learned, "held_out": self.windows.held_out},
            "enough_days": self.enough,
            "run": self.run,
        }


def write_model(wanted: WantedModel, root: Path | None = None) -> NewModel:
    """Look at the view's table, and write ``models/<name>/``.

    Raises:
        CannotBegin: naming what is not there, or must be said. TableVanished, SourceUnreachable: as ``source``.
    """
    from include.adapters import source

    root = root or loader.ROOT
    if not is_name(wanted.name):
        raise CannotBegin(
            f"{wanted.name!r} is no name for a model; it is a lower-case letter, then at most 62 of a-z, 0-9 and _."
        )
    folder = root / "models" / wanted.name
    if folder.exists():
        raise CannotBegin(f"{folder} is there already; choose another name, or edit what it has.")
    view = loader.read_declarations(root).view(wanted.view)
    spine = view.source[0]
    if spine.time is None:
        raise CannotBegin(f"View {view.ref} reads {spine.table} without a time, so no label can be dated by it.")
    table = source.found_table(settings().source_url, spine.table)
    label = _label(table, view, spine.time, wanted.label)
    task, task_how = _task(label, wanted.task)
    if wanted.label_known == spine.time:
        raise CannotBegin(
            f"--label-known is {spine.time!r}, the time of the event itself: an outcome that is known then need not be "
            "predicted. Name the column that says when it was known."
        )
    known = guesses.label_known_of(table, spine.time, wanted.label_known)
    delay, delay_how, delay_days = _delay(table.name, spine.time, known)
    features = tuple(name for name in view.features if name not in (label.name, known.column))
    if not features:
        raise CannotBegin(f"View {view.ref} has no feature beside the label {label.name!r}; give it others.")
    windows, enough = _windows(table, spine.time, delay_days)
    classes = _classes(label, task)
    made = NewModel(
        wanted.name, folder, view, task, task_how, label, classes, known, delay, delay_how, features, windows, enough
    )
    files.write_text(folder / "label.sql", _label_sql(made, spine.table, spine.time))
    files.write_text(folder / "model.yaml", _model_yaml(made, wanted.owner, spine.table, spine.time))
    return made


# --- what is predicted -----------------------------------------------------------------------------------------------


def _label(table: FoundTable, view: FeatureView, time: str, said: str | None) -> FoundColumn:
    able = [e.name for e in table.columns if e.name not in (*view.keys, time) and not _is_time(e)]
    if said is None:
        raise CannotBegin(f"Which column is the outcome? Say --label COLUMN, of: {', '.join(able)}.")
    found = guesses.column_of(table, said, "--label")
    if found.name not in able:
        raise CannotBegin(
            f"--label is {said!r}, which is a key or a time and no outcome; columns are: {', '.join(able)}."
        )
    if found.distinct < 2:
        values = ", ".join(map(str, found.values)) or "none"
        raise CannotBegin(
            f"--label is {said!r}, and has fewer than two values in {count_of(table.sampled, 'row')}: {values}."
        )
    return found


def _is_time(column: FoundColumn) -> bool:
    return column.of_times and (column.declared_time or column.kind == "text")


def _task(label: FoundColumn, said: str | None) -> tuple[Task, str]:
    is_number = label.kind in ("integer", "number")
    if said is not None:
        if said == "binary" and label.distinct != 2:
            raise CannotBegin(f"--task is binary, and {label.name} has {label.distinct:,} values; say multiclass.")
        if said == "regression" and not is_number:
            raise CannotBegin(f"--task is regression, and {label.name} is {label.kind} and no number.")
        if said == "multiclass" and not 2 < label.distinct <= MOST_CLASSES:
            raise CannotBegin(f"--task is multiclass, and {label.name} has {label.distinct:,} values; 3 to 20 can be.")
        return said, guesses.SAID  # type: ignore[return-value]
    otherwise = "say --task otherwise"
    if label.distinct == 2:
        return "binary", f"guessed: {label.name} has two values in the sample; {otherwise}"
    if is_number:
        return "regression", f"guessed: {label.name} is a number of {label.distinct:,} values; {otherwise}"
    if label.distinct <= MOST_CLASSES:
        return "multiclass", f"guessed: {label.name} has {label.distinct} values; {otherwise}"
    raise CannotBegin(
        f"--label is {label.name!r}, a text of {label.distinct:,} values, which are too many classes. Group them in a "
        "database view, or name another column."
    )


def _classes(label: FoundColumn, task: Task) -> tuple[str, ...]:
    if task == "regression":
        return ()
    if label.kind == "boolean":
        return ("no", "yes")
    return tuple(f"{value:g}" if isinstance(value, float) else str(value) for value in label.values)


def _delay(table: str, time: str, known: Meaning) -> tuple[str, str, int]:
    """The delay as it is declared, how it was come by, and in whole days."""
    from include.adapters import source

    if known.column is None:
        return "1d", "guessed with it; write when your outcomes are known", 1
    found = source.spread(settings().source_url, table, time, known.column)
    if not found.rows:
        return "1d", f"guessed: no row of the sample has both {time} and {known.column}", 1
    if found.before > 0.01:
        raise CannotBegin(
            f"{known.column} is before {time} in {found.before:.0%} of {count_of(found.rows, 'row')}, so it is not "
            "when the outcome was known. Name the column that is: --label-known COLUMN."
        )
    how = f"measured: 99 of 100 of the newest {count_of(found.rows, 'row')} were known within that"
    if found.most_s < DAY_S:
        hours = max(1, math.ceil(found.most_s / 3600))
        return f"{hours}h", how, 1
    days = math.ceil(found.most_s / DAY_S)
    return f"{days}d", how, days


def _windows(table: FoundTable, time: str, delay_days: int) -> tuple[Windows, bool]:
    """How the days that there are can be cut; and whether they are enough for a first champion and some days after."""
    dates = table.column(time)
    if dates is None or dates.first is None or dates.last is None:
        raise CannotBegin(
            f"The first and last time in {table.name}.{time} are not known: the table is empty, or it took more than "
            "20 s to say them. Declare the model with `slipway new model NAME --view VIEW` instead."
        )
    first = dates.first.replace(hour=0, minute=0, second=0, microsecond=0)
    end = dates.last.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    span = (end - first).days
    usable = span - delay_days - 1
    held_out = min(14, max(3, usable // 6))
    learned = min(60, max(7, round(0.5 * usable)))
    start = first + timedelta(days=learned + held_out + delay_days + 1)
    enough = start <= end
    rows = table.rows if table.rows is not None else table.sampled
    return Windows(learned, held_out, delay_days, rows / max(span, 1), min(start, end), end), enough


# --- what is written -------------------------------------------------------------------------------------------------


def _label_sql(made: NewModel, table: str, time: str) -> str:
    from include.adapters.sql_engine import quoted

    alias = quoted(table.rpartition(".")[2])
    column = f"{alias}.{quoted(made.label.name)}"
    label = f"CASE WHEN {column} THEN 'yes' ELSE 'no' END" if made.label.kind == "boolean" else column
    event = f"{alias}.{quoted(time)}"
    known = f"{alias}.{quoted(made.known.column)}" if made.known.column else f"{event} + INTERVAL 1 DAY"
    conditions = [f"{column} IS NOT NULL"]
    if made.known.column:
        conditions.append(f"{known} IS NOT NULL")
    return LABEL.format(
        keys=",\n    ".join(f"{alias}.{quoted(key)}" for key in made.view.keys),
        label=label,
        event=event,
        known=known,
        known_how=f"{made.known.column or 'a day after the event'}, {made.known.briefly}",
        table=quoted(table) + (f" AS {alias}" if "." in table else ""),
        conditions=" AND ".join(conditions),
    )


def _model_yaml(made: NewModel, owner: str, table: str, time: str) -> str:
    w, scale = made.windows, made.label.scale or 1.0
    classes = f"  classes: {listed(made.classes)} # the last is what is looked for\n"
    known = f", known: {as_text(made.known.column)}" if made.known.column else ""
    return MODEL.format(
        **BY_TASK[made.task](len(made.classes), scale),
        name=made.name,
        label=as_text(made.label.name),
        task=made.task,
        owner=as_text(owner),
        view=made.view.ref,
        delay=made.delay,
        delay_how=made.delay_how,
        classes=classes if made.classes else "",
        table=table,
        time=as_text(time),
        known=known,
        features=listed(made.features),
        learned=w.learned,
        held_out=w.held_out,
        learn_rows=w.least(w.learned, 50),
        gate_rows=w.least(w.held_out, 30),
        shadow_rows=w.least(3, 20),
        max_days=max(10, 3 + w.delay_days),
        day_rows=min(300, w.least(1, 20)),
        watch_rows=min(3000, w.least(7, 30)),
    )
