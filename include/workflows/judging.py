"""Judges anyone's predictions by the gates the Dags run: no Airflow, no declared model, no ledger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.config.gates import JudgedGates
from include.config.loader import read_declaration
from include.domain.gates import Evidence, champion_gate, slice_gate, threshold_gate
from include.domain.metrics import Task
from include.domain.tables import as_table
from include.domain.verdicts import GateResult, Mode, Verdict, worst
from include.workflows import given_tables
from include.workflows.given_tables import PARQUET, check_present, check_size, finite, some

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

BadPredictions = given_tables.BadTable


@dataclass(frozen=True, slots=True)
class Roles:
    """Which column of the predictions is what.

    Attributes:
        label: the truth.
        candidate: the candidate's scores; of a multiclass model one column for each class, in their order.
        champion: the champion's, likewise; empty where there is no champion yet.
        baseline: a naive baseline's, likewise; empty takes the mean label of these rows.
        time: when each row happened; rows of one UTC day are not taken for independent. None takes all for independent.
        slices: columns to slice by, besides those the gates name.
    """

    label: str
    candidate: tuple[str, ...]
    champion: tuple[str, ...] = ()
    baseline: tuple[str, ...] = ()
    time: str | None = None
    slices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the gates say. ``remarks`` are what a reader must know about how the rows were taken."""

    gates: tuple[GateResult, ...]
    rows: int
    remarks: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of the blocking gates; INCONCLUSIVE when none is blocking."""
        return worst(g.verdict for g in self.gates if g.mode is Mode.BLOCKING)

    def as_lines(self) -> list[str]:
        lines: list[str] = []
        for gate in self.gates:
            lines += [as_table(gate), ""]
        lines += self.remarks
        blocking = sum(g.mode is Mode.BLOCKING for g in self.gates)
        return [*lines, f"verdict: {self.verdict.value} ({blocking} blocking gates, {self.rows:,} rows)"]

    def as_json(self) -> dict[str, Any]:
        gates = [finite(g.as_json()) for g in self.gates]
        return {"verdict": self.verdict.value, "rows": self.rows, "gates": gates, "remarks": list(self.remarks)}


def judge_file(data: Path, gates: Path, roles: Roles, *, attempts: int = 1) -> Judgement:
    """Judge the predictions in a parquet or CSV file.

    Args:
        data: the file; only the columns that are needed are read.
        gates: a YAML file as ``JudgedGates``.
        roles: which column is what.
        attempts: how many candidates were judged on these rows, this one included.

    Raises:
        BadPredictions, BadDeclaration: the one line says what is wrong.
    """
    if not gates.is_file():
        raise BadPredictions(f"There is no file {gates}; --gates names the YAML file with the gates.")
    declared = read_declaration(gates, JudgedGates)
    return judge_frame(_read(data, _needed(declared, roles)), declared, roles, attempts=attempts)


def judge_frame(frame: pd.DataFrame, declared: JudgedGates, roles: Roles, *, attempts: int = 1) -> Judgement:
    """Judge predictions that are in memory; see ``judge_file``."""
    if attempts < 1:
        raise BadPredictions(f"attempts is {attempts}; this candidate is at least the first.")
    check_present(_needed(declared, roles), [str(name) for name in frame.columns])
    if roles.label in (*roles.candidate, *roles.champion, *roles.baseline):
        raise BadPredictions(f"Column {roles.label!r} is the label and scores too; name the column of the scores.")
    task = Task(declared.task)
    remarks = []
    y = _labels(frame[roles.label], task, declared.classes)
    baseline = _scores(frame, roles.baseline, task, declared) if roles.baseline else None
    if baseline is None and declared.champion_gate is not None:
        baseline = _mean_label(y, task, len(roles.candidate))
        remarks.append("The naive baseline is the mean label of these rows; --baseline names a better one.")
    if roles.time is None:
        remarks.append("Every row is taken for independent of every other; --time names when each happened.")
    evidence = Evidence(
        task,
        y,
        _scores(frame, roles.candidate, task, declared),
        _scores(frame, roles.champion, task, declared) if roles.champion else None,
        baseline,
        None if roles.time is None else _days(frame[roles.time]),
    )
    return Judgement(tuple(_judged(declared, evidence, frame, roles, attempts)), len(frame), tuple(remarks))


def _judged(
    declared: JudgedGates, evidence: Evidence, frame: pd.DataFrame, roles: Roles, attempts: int
) -> Iterable[GateResult]:
    has_champion = bool(roles.champion)
    if (threshold := declared.threshold_gate) is not None:
        bounds = threshold.rules()
        yield threshold_gate(bounds, evidence, mode=threshold.mode, min_rows=threshold.min_rows)
    if (champion := declared.champion_gate) is not None:
        rules = champion.rules()
        yield champion_gate(rules, evidence, mode=champion.mode, has_champion=has_champion, attempts=attempts)
    if (slices := declared.slice_gate) is not None:
        sliced = slices.rules(champion, also_by=roles.slices)
        columns = {name: frame[name] for name in slices.columns_with(roles.slices)}
        yield slice_gate(sliced, evidence, columns, mode=slices.mode, has_champion=has_champion, attempts=attempts)


# --- reading ---------------------------------------------------------------------------------------------------------


def _needed(declared: JudgedGates, roles: Roles) -> list[str]:
    """The columns that are read, each once."""
    if roles.slices and declared.slice_gate is None:
        raise BadPredictions("--slice is given, but the gates have no slice_gate; declare one with metric and margins.")
    time = () if roles.time is None else (roles.time,)
    further = declared.slice_gate.columns_with(roles.slices) if declared.slice_gate else ()
    return list(dict.fromkeys((roles.label, *roles.candidate, *roles.champion, *roles.baseline, *time, *further)))


def _read(data: Path, needed: list[str]) -> pd.DataFrame:
    if not data.is_file():
        raise BadPredictions(f"There is no file {data}; --data names a parquet or CSV file with the predictions.")
    suffix = data.suffix.lower()
    if suffix not in (*PARQUET, ".csv"):
        raise BadPredictions(f"{data} ends in {suffix or 'nothing'}; predictions are read from .parquet, .pq or .csv.")
    try:
        return _read_parquet(data, needed) if suffix in PARQUET else _read_csv(data, needed)
    except BadPredictions:
        raise
    except (OSError, ValueError) as error:  # what pyarrow and pandas raise for a file that is not what its name says
        kind = "parquet" if suffix in PARQUET else "CSV"
        raise BadPredictions(f"{data} cannot be read as {kind}: {str(error).splitlines()[0]}") from None


def _read_parquet(data: Path, needed: list[str]) -> pd.DataFrame:
    import pyarrow.parquet as pq

    with pq.ParquetFile(data) as file:
        names = file.schema_arrow.names
        check_present(needed, names)
        twice = sorted(name for name in needed if names.count(name) > 1)
        if twice:
            raise BadPredictions(f"{data} has the column {twice[0]!r} {names.count(twice[0])} times; names are unique.")
        found = file.metadata
        size = sum(found.row_group(i).total_byte_size for i in range(found.num_row_groups))
        check_size(data, found.num_rows, size)
        frame: pd.DataFrame = file.read(columns=needed).to_pandas()
    return frame


def _read_csv(data: Path, needed: list[str]) -> pd.DataFrame:
    import pandas as pd

    check_size(data, 0, data.stat().st_size)
    names = [str(name) for name in pd.read_csv(data, nrows=0).columns]
    check_present(needed, names)
    frame = pd.read_csv(data, usecols=needed, low_memory=False)
    check_size(data, len(frame), 0)
    return frame


# --- from columns to evidence ----------------------------------------------------------------------------------------


def _labels(column: pd.Series[Any], task: Task, classes: list[str] | None) -> np.ndarray[Any, Any]:
    """The labels as floats, a class as its position; missing ones stay missing, which no gate passes."""
    import numpy as np
    import pandas as pd

    numeric = pd.api.types.is_numeric_dtype(column.dtype)
    if classes is not None:
        position = {name: i for i, name in enumerate(classes)}
        texts = column.astype(object).where(column.notna(), None)
        known = texts.map(lambda value: position.get(str(value)), na_action="ignore")
        strange = column.notna() & known.isna()
        if not strange.any():
            return known.to_numpy(dtype=np.float64, na_value=np.nan)
        if not numeric:
            raise BadPredictions(
                f"Label {column.name!r} has {some(column[strange])}; classes in the gates are: {', '.join(classes)}."
            )
    if not numeric:
        raise BadPredictions(
            f"Label {column.name!r} holds {some(column.dropna())}, which are no numbers; "
            "name them in the gates as classes: [first, second], in the order of the outputs."
        )
    y = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if task is not Task.REGRESSION:
        count = 2 if task is Task.BINARY else len(classes) if classes else np.inf
        strange = column.notna() & ~((y >= 0) & (y < count) & (y == np.floor(y)))
        if strange.any():
            allowed = "0 and 1" if task is Task.BINARY else "the classes' positions 0, 1, 2, ..."
            raise BadPredictions(f"Label {column.name!r} has {some(column[strange])}; allowed are {allowed}.")
    return y


def _scores(frame: pd.DataFrame, names: tuple[str, ...], task: Task, declared: JudgedGates) -> np.ndarray[Any, Any]:
    import numpy as np
    import pandas as pd

    wanted = len(declared.classes) if declared.classes else None
    if task is not Task.MULTICLASS and len(names) != 1:
        raise BadPredictions(f"{len(names)} columns of scores are named; a {task.value} model has one.")
    if task is Task.MULTICLASS and (len(names) < 2 or (wanted and len(names) != wanted)):
        raise BadPredictions(
            f"{len(names)} columns of scores are named; a multiclass model has one for each class, "
            f"{wanted or 'two or more'}, separated by commas."
        )
    for name in names:
        if not pd.api.types.is_numeric_dtype(frame[name].dtype):
            raise BadPredictions(f"Column {name!r} holds {some(frame[name].dropna())}; scores are numbers.")
    scores = frame[list(names)].to_numpy(dtype=np.float64, na_value=np.nan)
    return scores if task is Task.MULTICLASS else scores[:, 0]


def _mean_label(y: np.ndarray[Any, Any], task: Task, classes: int) -> np.ndarray[Any, Any]:
    import numpy as np

    known = y[np.isfinite(y)]
    if task is Task.MULTICLASS:
        counts = np.bincount(known.astype(np.intp), minlength=classes)[:classes]
        return np.tile(counts / max(len(known), 1), (len(y), 1))
    return np.full(len(y), known.mean() if len(known) else np.nan)


def _days(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """The UTC day of each row as a number; a time without a zone is UTC."""
    import numpy as np

    return given_tables.times_of(column).astype("datetime64[D]").astype(np.int64)
