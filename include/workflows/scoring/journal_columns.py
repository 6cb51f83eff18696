"""Records of the journal as columns: millions of them, without an object for each value that no one looks at.

A record is decoded into the form that its candidate's records mostly have. One of another form goes the long way, by
``record_of``; both ways give the same columns. Nothing is read or written here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from include.adapters.offline_store import SERVED_PREFIX, TIMESTAMP
from include.config import ModelDeclaration, declarations
from include.domain.journal.collected import each_answer
from include.domain.journal.frames import FramedRecord
from include.domain.journal.records import AnswerRecord, Record, ViewServed, record_of
from include.workflows.scoring import fitted_models
from include.workflows.scoring.point_in_time_rows import ARROW_KINDS
from include.workflows.scoring.request_ids import EXACT

if TYPE_CHECKING:
    import pyarrow as pa

KEY_PREFIX, ROW_PREFIX, MISSING_PREFIX = "key_", "row_of_", "missing_of_"
"""Columns of what was served: of each view the event time of the row whose values were served, and why there were none;
both missing where nothing was looked up."""
ALL_GIVEN = "*"
AS_THEY_ARE = {
    "asked_id": "string",
    "prediction_time": "time",
    "event_time": "time",
    "candidate": "string",
    "role": "string",
    "arm": "string",
    "revision": "int64",
    "error": "string",
    "us_total": "int64",
    "us_model": "int64",
    "unit": "string",
    "bucket": "double",
    "number": "int64",
}
"""Fields of a record that are columns as they are. A further one is one line here, and one of the log's columns."""
LONG_WAY = ("beside",)
"""Fields of a record that make more than one row of it: with one of them it goes the long way."""
_TYPES: dict[str, Any] = {"numeric": float | None, "categorical": str | None, "boolean": bool | None}
_PYTHON: dict[str, type] = {"numeric": float, "categorical": str, "boolean": bool}
_FORMS = 32
_AT_ONCE = 1_000
"""Rows that are made columns together: so few that they are still near the processor."""
_WRITTEN = {20, 27}
"""Characters of a time as the journal's writer gives it: to the second or to the microsecond, in UTC."""


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """How a model's answers lie in columns: the types of its entity's keys, the kinds of its features, and how many
    scores an answer has where that is more than one."""

    model: str
    keys: Mapping[str, pa.DataType]
    kinds: Mapping[str, str]
    width: int | None

    @classmethod
    def of(cls, model: ModelDeclaration, keys: Mapping[str, pa.DataType]) -> AnswerForm:
        """With the features of older versions of its views, which a candidate may have learned from."""
        kinds: dict[str, str] = {}
        names = {use.name for use in model.views}
        for view in declarations().views.values():
            if view.name in names:
                kinds |= {column.name: column.kind for column in view.columns}
        kinds |= fitted_models.kinds_of(model)
        return cls(model.name, dict(keys), kinds, model.class_count if model.task == "multiclass" else None)

    def text(self) -> str:
        """A name for the form: columns of another one are of no use for it."""
        keys, kinds = sorted((name, str(kind)) for name, kind in self.keys.items()), sorted(self.kinds.items())
        return str((self.model, keys, kinds, self.width, sorted(AS_THEY_ARE), LONG_WAY))


@dataclass(slots=True)
class Others:
    """What else the records said, which is no row of the model."""

    records: list[Record] = field(default_factory=list)
    """Of other kinds than answers."""
    last: datetime | None = None
    """The latest prediction time of any model's answer."""
    unknown: list[int] = field(default_factory=list)
    """Where whole records of a form that this version does not know begin."""

    def saw(self, at: datetime) -> None:
        """Note an answer's time."""
        self.last = at if self.last is None else max(self.last, at)


class _Head(msgspec.Struct, tag_field="kind", tag="answer", gc=False):
    model: str
    candidate: str
    prediction_time: datetime


@dataclass(slots=True)
class _Fast:
    """The decoder of what one candidate's records mostly look like, and those decoded by it."""

    decode: Callable[[bytes], Any]
    model: str
    candidate: str
    features: tuple[str, ...]
    omitted: list[str]
    views: tuple[str, ...]
    rows: list[Any] = field(default_factory=list)
    whole: list[FramedRecord] = field(default_factory=list)
    """The bytes of the rows, and their places."""

    def took(self, at: int, payload: bytes) -> bool:
        """Whether the record is of this form; then it was taken."""
        try:
            row = self.decode(payload)
        except msgspec.MsgspecError:
            return False
        if row.candidate != self.candidate or row.omitted != self.omitted or row.model != self.model or _several(row):
            return False
        self.rows.append(row)
        self.whole.append(FramedRecord(at, payload))
        return True


class ColumnReader:
    """Takes records of one segment and gives tables of the model's answers, in no order."""

    def __init__(self, form: AnswerForm) -> None:
        self.form, self.others = form, Others()
        self._known: list[_Fast] = []
        """The latest first."""
        self._full: list[_Fast] = []
        """Those that another one has taken the place of."""
        self._slow: list[tuple[int, AnswerRecord]] = []
        self._tables: list[pa.Table] = []

    def take(self, base: int, whole: Iterable[FramedRecord]) -> None:
        """Records, and the byte that their places are counted from."""
        for at, payload in whole:
            if not (self._known and self._known[0].took(base + at, payload)):
                self._another(base + at, payload)
            elif len(self._known[0].rows) >= _AT_ONCE:
                self._made(self._known[0])

    def table(self) -> pa.Table:
        """What was taken since the last call."""
        import pyarrow as pa

        for fast in (*self._known, *self._full):
            self._made(fast)
        self._full = []
        if self._slow:
            self._tables.append(columns_of(self.form, self._slow))
        parts, self._slow, self._tables = self._tables, [], []
        return pa.concat_tables(parts, promote_options="default") if parts else columns_of(self.form, [])

    def _made(self, fast: _Fast) -> None:
        """Make columns of what a decoder has taken."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not fast.rows:
            return
        rows, whole = fast.rows, fast.whole
        fast.rows, fast.whole = [], []
        try:
            made = _columns_of_rows(self.form, fast, rows, [each.at for each in whole])
        except (pa.ArrowException, ValueError):
            # A time or a number that only looks like one. One by one it is found which.
            for at, payload in whole:
                self._one_by_one(at, payload)
            return
        self.others.saw(pc.max(made.column("prediction_time")).as_py())
        self._tables.append(made)

    def _another(self, at: int, payload: bytes) -> None:
        """Take a record that is not of the form that the one before had."""
        with contextlib.suppress(msgspec.MsgspecError):
            head = _HEAD.decode(payload)
            if head.model != self.form.model:
                return self.others.saw(head.prediction_time)
            for place, fast in enumerate(self._known[1:], start=1):
                if fast.candidate == head.candidate and fast.took(at, payload):
                    return self._known.insert(0, self._known.pop(place))
        record = self._record(at, payload)
        if record is not None and not self._is_learned(record, at, payload):
            self._one_by_one(at, payload)
        return None

    def _record(self, at: int, payload: bytes) -> AnswerRecord | None:
        """The answer that the bytes are; None where they are none, which is noted."""
        try:
            record = record_of(payload)
        except ValueError:
            self.others.unknown.append(at)
            return None
        if isinstance(record, AnswerRecord):
            return record
        self.others.records.append(record)
        return None

    def _one_by_one(self, at: int, payload: bytes) -> None:
        record = self._record(at, payload)
        if record is not None:
            self.others.saw(record.prediction_time)
            self._slow.append((at, record))

    def _is_learned(self, record: AnswerRecord, at: int, payload: bytes) -> bool:
        """Whether there is a decoder of records like this one now, which has taken it."""
        if not all(name in self.form.kinds for name in record.features) or len(self._known) >= _FORMS:
            return False
        views, before = tuple(record.views), None
        for each in self._known:
            if (each.candidate, each.features, each.omitted) == (
                record.candidate,
                tuple(record.features),
                record.omitted,
            ):
                before, views = each, tuple(dict.fromkeys((*each.views, *record.views)))
                if views == each.views:
                    return False
        if len({view_of(name) for name in views}) < len(views):
            return False
        made = _fast_of(self.form, record, views)
        if not made.took(at, payload):
            return False
        if before is not None:
            self._known.remove(before)
            self._full.append(before)
        self._known.insert(0, made)
        return True


_HEAD: msgspec.json.Decoder[_Head] = msgspec.json.Decoder(_Head)
_FIELDS = {each.name: each for each in msgspec.structs.fields(AnswerRecord)}


def _several(row: Any) -> bool:
    return bool(LONG_WAY) and any(getattr(row, name) is not None for name in LONG_WAY)


def view_of(name: str) -> str:
    """The view that a record means; the service names it with its version or without."""
    return name.partition("@")[0]


def _fast_of(form: AnswerForm, record: AnswerRecord, views: tuple[str, ...]) -> _Fast:
    """Strict where ``AnswerRecord`` is, and in its features: exactly those of this record, each of its kind."""
    view: Any = msgspec.defstruct("View", [_as_field(each) for each in msgspec.structs.fields(ViewServed)], gc=False)
    kinds = {name: (_TYPES[form.kinds[name]],) for name in record.features}
    special: dict[str, Any] = {
        "features": _struct(kinds, forbid_unknown_fields=True),
        "views": _struct(dict.fromkeys(views, (view | msgspec.UnsetType, msgspec.UNSET)), forbid_unknown_fields=True),
        "keys": _struct(dict.fromkeys(form.keys, (Any, None))),
    }
    fields: list[Any] = []
    for name, known in _FIELDS.items():
        if name not in special:
            fields.append(_as_field(known))
        elif name == "features" and record.features:
            fields.append((name, special[name]))
        else:
            fields.append((name, special[name] | msgspec.UnsetType, msgspec.UNSET))
    answer = msgspec.defstruct("Answer", fields, tag_field="kind", tag="answer", gc=False, kw_only=True)
    decode = msgspec.json.Decoder(answer).decode
    return _Fast(decode, form.model, record.candidate, tuple(record.features), list(record.omitted), views)


def _struct(fields: Mapping[str, tuple[Any, ...]], **how: Any) -> Any:
    """A struct of these names, each with its type and perhaps its default. Its own names are ``x0`` and so on, because
    a feature may be called as no field can be."""
    own = [(f"x{i}", *rest) for i, rest in enumerate(fields.values())]
    rename = {f"x{i}": name for i, name in enumerate(fields)}
    return msgspec.defstruct("Named", own, rename=rename, gc=False, **how)


def _as_field(known: Any) -> Any:
    """The same field; a time as its text, which Arrow reads many at once."""
    kind = {datetime: str, datetime | None: str | None}.get(known.type, known.type)
    if known.default is not msgspec.NODEFAULT:
        return known.name, kind, known.default
    if known.default_factory is not msgspec.NODEFAULT:
        return known.name, kind, msgspec.field(default_factory=known.default_factory)
    return known.name, kind


# --- columns ---------------------------------------------------------------------------------------------------------


def _columns_of_rows(form: AnswerForm, fast: _Fast, rows: Sequence[Any], places: Sequence[int]) -> pa.Table:
    """What a decoder took.

    Raises:
        ValueError, ArrowInvalid: where one of the texts is no time as the journal's writer gives it.
    """
    import numpy as np
    import pyarrow as pa

    count = len(rows)
    columns = _plain_columns(form, rows, places)
    nothing = msgspec.UNSET
    for i, (name, kind) in enumerate(form.keys.items()):
        get = attrgetter(f"x{i}")
        values = [None if row.keys is nothing else get(row.keys) for row in rows]
        columns[f"{KEY_PREFIX}{name}"] = keys_as(values, kind)
    given = [row.features for row in rows]
    # Absent where the record has no features at all, and the form has none either.
    transposed: list[Any] = list(zip(*map(msgspec.structs.astuple, given), strict=True)) if fast.features else []
    for name, feature in zip(fast.features, transposed, strict=True):
        columns[f"{SERVED_PREFIX}{name}"] = pa.array(feature, _arrow_kind(form.kinds[name]))
    ages = np.full(count, -np.inf)
    of_views = [row.views for row in rows]
    for i, name in enumerate(fast.views):
        get = attrgetter(f"x{i}")
        how = [nothing if views is nothing else get(views) for views in of_views]
        columns |= _of_view(view_of(name), [None if each is nothing else each for each in how])
        ages = np.fmax(ages, _ages(how))
    columns["age"] = pa.array(np.where(np.isneginf(ages), np.nan, ages), from_pandas=True)
    shape = pa.array([_shape(fast.features, fast.omitted)], pa.string())
    columns["shape"] = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), shape)
    columns["odd"] = pa.nulls(count, pa.string())
    columns["part"] = pa.array(np.zeros(count, np.int8))
    columns["failed"], columns["role_of_record"] = columns["error"].is_valid(), columns["role"]
    return pa.table(columns)


def columns_of(form: AnswerForm, found: Sequence[tuple[int, AnswerRecord]]) -> pa.Table:
    """Any records of the model, with the byte at which each begins, one by one: a row for each model that answered, the
    caller's answer as ``part`` 0. Features that the form does not have,
    or that are of another kind, are kept as JSON in ``odd``, with the others of their record."""
    import pyarrow as pa

    rows = [(at, part, record, each) for at, record in found for part, each in enumerate(each_answer(record))]
    records = [each for *_, each in rows]
    columns = _plain_columns(form, records, [at for at, *_ in rows])
    columns["part"] = pa.array([part for _, part, *_ in rows], pa.int8())
    columns["failed"] = pa.array([record.error is not None for _, _, record, _ in rows], pa.bool_())
    columns["role_of_record"] = pa.array([record.role for _, _, record, _ in rows], pa.string())
    for name, kind in form.keys.items():
        columns[f"{KEY_PREFIX}{name}"] = keys_as([record.keys.get(name) for record in records], kind)
    odd = [_is_odd(form, record) for record in records]
    for name in dict.fromkeys(name for record in records for name in record.features if name in form.kinds):
        columns[f"{SERVED_PREFIX}{name}"] = pa.array(
            [None if o else _as_kind(r.features.get(name)) for r, o in zip(records, odd, strict=True)],
            _arrow_kind(form.kinds[name]),
        )
    for name in dict.fromkeys(view_of(name) for record in records for name in record.views):
        of_view = [next((how for view, how in r.views.items() if view_of(view) == name), None) for r in records]
        columns |= _of_view(name, of_view)
    columns["age"] = pa.array([_oldest(record) for record in records], pa.float64())
    columns["shape"] = pa.array(
        [_shape(record.features, record.omitted) for record in records], pa.dictionary(pa.int32(), pa.string())
    )
    encode = msgspec.json.encode
    columns["odd"] = pa.array(
        [encode(r.features).decode() if o else None for r, o in zip(records, odd, strict=True)], pa.string()
    )
    return pa.table(columns)


def _plain_columns(form: AnswerForm, rows: Sequence[Any], places: Sequence[int]) -> dict[str, Any]:
    """The columns that both ways make in the same way."""
    import pyarrow as pa

    columns: dict[str, Any] = {"at": pa.array(places, pa.int64())}
    for name, kind in AS_THEY_ARE.items():
        values = list(map(attrgetter(name), rows))
        columns[name] = _times(values) if kind == "time" else pa.array(values, pa.type_for_alias(kind))
    width = form.width
    score = pa.float64() if width is None else pa.list_(pa.float64())
    columns["score"] = pa.array([row.score for row in rows], score)
    columns["given"] = pa.array([_given(row.given) for row in rows], pa.string())
    return columns


def _times(values: Sequence[Any]) -> pa.Array:
    """Of times, or of their texts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not any(type(value) is str for value in values[:_AT_ONCE]):
        return pa.array(values, TIMESTAMP)
    texts = pa.array(values, pa.string())
    if not {len(value) for value in values if value is not None} <= _WRITTEN:
        raise ValueError("a time of another form")
    return pc.cast(texts, TIMESTAMP)


def _of_view(name: str, how: Sequence[Any]) -> dict[str, Any]:
    import pyarrow as pa

    rows = [None if each is None or each.missing is not None else each.event_time for each in how]
    return {
        f"{ROW_PREFIX}{name}": _times(rows),
        f"{MISSING_PREFIX}{name}": pa.array([None if each is None else each.missing for each in how], pa.string()),
    }


def _ages(how: Sequence[Any]) -> Any:
    import numpy as np

    none = -np.inf
    values = [
        none if each is msgspec.UNSET or each.missing is not None or each.age_s is None else each.age_s for each in how
    ]
    return np.array(values, dtype=float)


def _oldest(record: AnswerRecord) -> float | None:
    """The age of the oldest values that were looked up and served, in seconds."""
    ages = [view.age_s for view in record.views.values() if view.missing is None and view.age_s is not None]
    return max(ages, default=None)


def _given(given: Any) -> str | None:
    return ALL_GIVEN if given == "all" else ",".join(given) or None


def _shape(features: Iterable[str], omitted: Iterable[str]) -> str:
    """Which features a record has and which it omits, in their order."""
    return msgspec.json.encode([list(features), list(omitted)]).decode()


def shape_of(text: str) -> tuple[list[str], list[str]]:
    """What a column ``shape`` says: the features that a record has, and those that are omitted by declaration."""
    has, omitted = msgspec.json.decode(text)
    return has, omitted


def odd_features(answers: pa.Table) -> dict[int, dict[str, Any]]:
    """By the place of its row, the features of each answer that are in no columns."""
    import pyarrow.compute as pc

    odd = answers.column("odd")
    if odd.null_count == len(odd):
        return {}
    places = pc.indices_nonzero(odd.is_valid()).to_pylist()
    return {place: msgspec.json.decode(odd[place].as_py()) for place in places}


def with_moment(rows: pa.Table) -> pa.Table:
    """With the time of what each is about: its event; the request where no event is known."""
    import pyarrow.compute as pc

    return rows.append_column("moment", pc.coalesce(rows.column("event_time"), rows.column("prediction_time")))


def _is_odd(form: AnswerForm, record: AnswerRecord) -> bool:
    for name, value in record.features.items():
        kind = form.kinds.get(name)
        if kind is None:
            return True
        if kind == "numeric" and type(value) is int and abs(value) <= EXACT:
            continue
        if value is not None and type(value) is not _PYTHON[kind]:
            return True
    return False


def _as_kind(value: Any) -> Any:
    return float(value) if type(value) is int else value


def _arrow_kind(kind: str) -> pa.DataType:
    import pyarrow as pa

    return pa.type_for_alias(ARROW_KINDS[kind])


def keys_as(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Keys as their view has them; one that it cannot have is missing."""
    import pyarrow as pa

    found = set(map(type, values)) - {type(None)}
    if (found <= {str} and pa.types.is_string(kind)) or (found <= {int} and pa.types.is_int64(kind)):
        with contextlib.suppress(pa.ArrowException, OverflowError):
            return pa.array(values, kind)
    return pa.array([_key(value, kind) for value in values], kind)


def _key(value: Any, kind: pa.DataType) -> Any:
    """A key as its view has it: a caller may say 7, "7" or 7.0."""
    import pyarrow as pa

    if value is None:
        return None
    if isinstance(value, float) and value.is_integer() and not pa.types.is_floating(kind):
        value = int(value)
    if pa.types.is_string(kind):
        return value if isinstance(value, str) else str(value)
    if pa.types.is_temporal(kind) and isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = datetime.fromisoformat(value)
    with contextlib.suppress(pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.scalar(value).cast(kind).as_py()
    return None
