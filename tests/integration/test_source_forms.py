"""One table, its times kept in each of the forms in which databases and people keep them: the same rows come back, the
same is published, and no day is called stale. And tables with columns of every type Postgres has."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from feature_world import STATION_LEVEL, World, a_world, at, day, days, partition, stored
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, text

from include.adapters.source import ColumnUnreadable, Pace, SourceRefused, daily_counts, extract, left_out
from include.config.types import SourceTable
from include.domain.intervals import Interval
from include.workflows.features.staging import definition

EAST, WEST = timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-9))
FRACTION = timedelta(microseconds=123_000)
Form = Callable[[datetime], Any]


def written(pattern: str, zone: Any = UTC) -> Form:
    return lambda moment: moment.astimezone(zone).strftime(pattern)


def offset(zone: timezone, between: str = "T") -> Form:
    return lambda moment: moment.astimezone(zone).isoformat(sep=between)


def in_turns(*forms: Form) -> Form:
    return lambda moment: forms[moment.hour % len(forms)](moment)


def epoch(scale: int) -> Form:
    return lambda moment: int(moment.timestamp()) * scale


SECONDS, BLANK, LETTER = written("%Y-%m-%d %H:%M:%S"), written("%Y-%m-%d %H:%M:%S.%f"), written("%Y-%m-%dT%H:%M:%S")
ZULU, MICROS = written("%Y-%m-%dT%H:%M:%SZ"), written("%Y-%m-%dT%H:%M:%S.%fZ")
TEXTS: dict[str, Form] = {
    "fractions": BLANK,
    "no fractions": SECONDS,
    "a T": LETTER,
    "a Z": ZULU,
    "a Z behind milliseconds": written("%Y-%m-%dT%H:%M:%S.000Z"),
    "a small z": written("%Y-%m-%d %H:%M:%Sz"),
    "UTC as a word": written("%Y-%m-%d %H:%M:%S UTC"),
    "an offset of nothing": written("%Y-%m-%d %H:%M:%S+00:00"),
    "an offset east": offset(EAST),
    "an offset west behind a blank": written("%Y-%m-%d %H:%M:%S %z", WEST),
    "an offset without a colon": written("%Y-%m-%dT%H:%M:%S%z", EAST),
    "an offset of hours": written("%Y-%m-%d %H:%M:%S-09", WEST),
    "minutes only": written("%Y-%m-%d %H:%M"),
    "nanoseconds": written("%Y-%m-%d %H:%M:%S.%f000"),
    "six forms in turns": in_turns(BLANK, SECONDS, LETTER, ZULU, offset(EAST), offset(WEST, " ")),
}
NUMBERS: dict[str, Form] = {
    "seconds": epoch(1),
    "milliseconds": epoch(10**3),
    "microseconds": epoch(10**6),
    "nanoseconds": epoch(10**9),
    "broken seconds": lambda moment: moment.timestamp(),
    "units in turns": in_turns(epoch(1), epoch(10**3), epoch(10**6)),
}
SQLITE = [
    *((f"{kind} {name}", kind, form) for kind in ("TIMESTAMP", "TEXT") for name, form in TEXTS.items()),
    *((f"{kind} {name}", kind, form) for kind in ("INTEGER", "TIMESTAMP") for name, form in NUMBERS.items()),
    ("REAL seconds", "REAL", NUMBERS["broken seconds"]),
    ("untyped fractions", "", BLANK),
    ("untyped seconds", "", epoch(1)),
    ("texts and numbers in turns", "TIMESTAMP", in_turns(SECONDS, epoch(1), ZULU, epoch(1000))),
]
POSTGRES = [
    ("timestamptz", "timestamptz", lambda moment: moment),
    ("timestamp", "timestamp", lambda moment: moment.replace(tzinfo=None)),
    *((f"text {name}", "text", form) for name, form in TEXTS.items()),
    *((f"varchar {name}", "varchar(40)", TEXTS[name]) for name in ("no fractions", "six forms in turns")),
    *((f"bigint {name}", "bigint", form) for name, form in NUMBERS.items() if name != "broken seconds"),
    ("double seconds", "double precision", NUMBERS["broken seconds"]),
    ("numeric milliseconds", "numeric", epoch(1000)),
]
EVERY = [("sqlite", *each) for each in SQLITE] + [("postgres", *each) for each in POSTGRES]
CASES = [
    pytest.param(*case, id=f"{case[0]}, {case[1]}", marks=[pytest.mark.postgres] if case[0] == "postgres" else [])
    for case in EVERY
]
MOMENTS = [at(1) + timedelta(hours=h, minutes=m) for h in range(0, 120, 3) for m in (0, 59)]
"""Five days, with both sides of every midnight."""
READ = SourceTable(table="readings", time="read_at", known="known_at")
LATE = timedelta(minutes=90)


def make(run: Callable[[Callable[[Connection], Any]], None], kind: str, form: Form, indexed: bool = True) -> None:
    """The table with its times in that form."""

    def build(connection: Connection) -> None:
        connection.execute(text("DROP TABLE IF EXISTS readings"))
        create = f"CREATE TABLE readings (station VARCHAR(10), read_at {kind}, level DOUBLE PRECISION, known_at {kind})"
        connection.execute(text(create))
        if indexed:
            connection.execute(text("CREATE INDEX by_time ON readings (read_at)"))
        rows = [
            {"s": f"s{i % 3}", "r": form(moment), "l": float(i), "k": form(moment + LATE)}
            for i, moment in enumerate(MOMENTS)
        ]
        connection.execute(text("INSERT INTO readings VALUES (:s, :r, :l, :k)"), rows)

    run(build)


def runner(url: str) -> Callable[[Callable[[Connection], Any]], None]:
    def run(action: Callable[[Connection], Any]) -> None:
        engine = create_engine(url)
        with engine.begin() as connection:
            action(connection)
        engine.dispose()

    return run


def source_of(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'forms.db'}" if backend == "sqlite" else request.getfixturevalue("postgres_url")


# --- the same rows ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("indexed", [True, False], ids=["indexed", "not indexed"])
@pytest.mark.parametrize(("backend", "name", "kind", "form"), CASES)
def test_f201_the_same_rows_are_read_in_whichever_form_their_times_are_kept(
    backend, name, kind, form, indexed, request, tmp_path
):
    url = source_of(backend, request, tmp_path)
    make(runner(url), kind, form, indexed)
    for interval, back, ahead, as_of in (
        (day(1), 0, 0, at(9)),
        (day(3), 0, 0, at(3, 12)),
        (day(3), 5, 2, at(9)),
        (days(2, 5), 0, 0, at(5)),
        (day(5), 30, 0, at(9)),
        (Interval.of_day("2024-02-01"), 0, 0, at(9)),
    ):
        source = READ.model_copy(update={"lookback": timedelta(hours=back), "lookahead": timedelta(hours=ahead)})
        rows = extract(url, source, interval, as_of)
        start, end = interval.start - source.lookback, interval.end + source.lookahead
        expected = [m for m in MOMENTS if start <= m < end and m + LATE <= as_of]
        assert rows.schema.field("read_at").type == pa.timestamp("us", tz="UTC")
        assert rows.column("read_at").to_pylist() == expected
        assert rows.column("known_at").to_pylist() == [m + LATE for m in expected]
        counted: dict[str, tuple[int, datetime]] = {}
        for moment in (m for m in MOMENTS if interval.contains(m) and m + LATE <= as_of):
            counted[f"{moment:%Y-%m-%d}"] = (counted.get(f"{moment:%Y-%m-%d}", (0,))[0] + 1, moment + LATE)
        assert daily_counts(url, READ, interval, as_of) == counted


@pytest.mark.parametrize(
    ("backend", "kind", "form"),
    [("sqlite", "DATE", "%Y-%m-%d"), ("sqlite", "TEXT", "%Y-%m-%d"), ("sqlite", "TIMESTAMP", "%Y-%m-%d")]
    + [pytest.param("postgres", kind, "%Y-%m-%d", marks=pytest.mark.postgres) for kind in ("date", "text")],
)
def test_f201_a_date_is_midnight_in_utc(backend, kind, form, request, tmp_path):
    url = source_of(backend, request, tmp_path)
    make(runner(url), kind, written(form) if backend == "sqlite" or kind == "text" else lambda moment: moment.date())
    rows = extract(url, READ, days(2, 4), at(4))
    assert rows.num_rows == 32
    assert set(rows.column("read_at").to_pylist()) == {at(2), at(3)}
    assert daily_counts(url, READ, day(2), at(9)) == {"2024-03-02": (16, at(2))}


@given(
    micros=st.lists(st.integers(-2 * 86_400_000_000, 3 * 86_400_000_000), min_size=1, max_size=12),
    kinds=st.lists(st.integers(0, 5), min_size=12, max_size=12),
    minutes=st.integers(-14 * 60, 14 * 60),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_f201_any_moment_in_any_mixture_of_forms_is_in_its_day(micros, kinds, minutes, tmp_path):
    zone = timezone(timedelta(minutes=minutes))
    forms: list[Form] = [
        BLANK,
        offset(UTC),
        offset(zone),
        offset(zone, " "),
        lambda m: _whole(m),
        written("%Y-%m-%dT%H:%M:%S.%fZ"),
    ]
    moments = [at(2) + timedelta(microseconds=each) for each in micros]
    url = f"sqlite:///{tmp_path / 'any.db'}"

    def build(connection: Connection) -> None:
        connection.execute(text("DROP TABLE IF EXISTS readings"))
        connection.execute(text("CREATE TABLE readings (read_at TIMESTAMP, known_at TIMESTAMP)"))
        rows = [{"r": forms[k](m), "k": forms[-1 - k](m)} for k, m in zip(kinds, moments, strict=False)]
        connection.execute(text("INSERT INTO readings VALUES (:r, :k)"), rows)

    runner(url)(build)
    for interval in (day(1), day(2), day(3), days(1, 4)):
        found = extract(url, READ, interval, at(99)).column("read_at").to_pylist()
        assert found == sorted(m for m in moments if interval.contains(m))


def _whole(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def test_an_index_on_the_time_is_used_and_the_table_is_not_read_through(tmp_path):
    url = f"sqlite:///{tmp_path / 'forms.db'}"
    plans: list[str] = []
    for kind, form in (("TIMESTAMP", SECONDS), ("TEXT", LETTER), ("INTEGER", epoch(1))):
        make(runner(url), kind, form)
        runner(url)(lambda connection: plans.extend(_plans(connection)))
    assert plans
    assert all(plan.startswith(("SEARCH readings", "MULTI-INDEX OR", "INDEX ")) for plan in plans), plans


def _plans(connection: Connection) -> list[str]:
    from include.adapters.source import reading
    from include.adapters.source.columns import layout

    query = reading._statement(connection, layout(connection, READ, None), reading.AskedRows(day(3), at(9)))
    shown = query.compile(connection, compile_kwargs={"literal_binds": True})
    return [row[-1] for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + str(shown).replace("%%", "%"))]


# --- what nobody understands -----------------------------------------------------------------------------------------


STRANGE = [
    pytest.param("TEXT", "10.03.2024 05:00", id="days first"),
    pytest.param("TEXT", "2024/03/10", id="slashes"),
    pytest.param("TEXT", "2024-3-5", id="no leading zeros"),
    pytest.param("TEXT", "20240310T050000", id="the basic form"),
    pytest.param("TEXT", "1709996400", id="seconds as text"),
    pytest.param("TEXT", "Mar 10 2024", id="month as a word"),
    pytest.param("TEXT", "infinity", id="infinity"),
    pytest.param("TEXT", "", id="nothing"),
    pytest.param("TEXT", "2024-03-01 25:00:00", id="an hour that is none"),
    pytest.param("TEXT", "2024-03-01 05:00 PM", id="half a day"),
    pytest.param("TIMESTAMP", "now", id="a word"),
    pytest.param("INTEGER", 20240310, id="a day as a number"),
    pytest.param("REAL", 2460379.5, id="a Julian day"),
    pytest.param("INTEGER", 0, id="nought"),
    pytest.param("INTEGER", 45361, id="a spreadsheet's day"),
    pytest.param("INTEGER", -1, id="minus one"),
]


@pytest.mark.parametrize("indexed", [True, False], ids=["indexed", "not indexed"])
@pytest.mark.parametrize(("kind", "value"), STRANGE)
def test_f201_a_time_in_a_form_nobody_understands_is_refused_with_an_example_and_the_way_out(
    kind, value, indexed, tmp_path
):
    url = f"sqlite:///{tmp_path / 'forms.db'}"
    make(runner(url), kind, epoch(1) if kind in ("INTEGER", "REAL") else SECONDS, indexed)
    insert = text("INSERT INTO readings VALUES ('odd', :value, 1, '2024-03-01')")
    runner(url)(lambda connection: connection.execute(insert, {"value": value}))
    with pytest.raises(ColumnUnreadable, match=r"readings\.read_at .*must be a timestamp.*database view") as caught:
        extract(url, READ, day(1), at(9))
    assert repr(value)[:8] in str(caught.value)


@pytest.mark.parametrize(
    "never", ["9999-12-31", "9999-12-31 23:59:59", "9999-12-31T23:59:59.999999Z", 253402300799, None]
)
def test_a_row_that_is_never_known_is_not_read(never, tmp_path):
    url = f"sqlite:///{tmp_path / 'forms.db'}"
    make(runner(url), "TIMESTAMP", SECONDS)
    runner(url)(
        lambda c: c.execute(text("UPDATE readings SET known_at = :never WHERE station = 's0'"), {"never": never})
    )
    assert set(extract(url, READ, days(1, 5), at(99)).column("station").to_pylist()) == {"s1", "s2"}


# --- the same is published -------------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return a_world(tmp_path, monkeypatch)


LEVEL_SQL = """
SELECT station, level, level AS mean_level_3h, read_at AS event_time, known_at AS available_time
FROM readings, interval_ WHERE read_at >= start AND read_at < "end"
"""


def published(world: World, kind: str, form: Form, recheck: str) -> tuple[Any, ...]:
    make(world._write, kind, form)
    source = [{"table": "readings", "time": "read_at", "known": "known_at"}]
    world.declare_view(STATION_LEVEL, LEVEL_SQL, source=source, recheck={"days": 2, "by": recheck})
    for number in (2, 3, 4):
        world.run_day("station_level", number)
    by_day = stored(world, "station_level", days(2, 5))
    world.run_days("station_level", 2, 5, as_of=at(5))
    assert stored(world, "station_level", days(2, 5)) == by_day, "a bulk run and its days are one"
    for number in (5, 6):
        world.run_day("station_level", number)
    counts = [
        (p.rows, p.content_hash, p.source_rows, p.source_hash, p.source_watermark)
        for p in (partition("station_level", n) for n in (2, 3, 4, 5))
    ]
    return by_day, counts


@pytest.mark.parametrize("recheck", [pytest.param("digest", marks=pytest.mark.slow), "watermark"])
@pytest.mark.parametrize("name", ["no fractions", "an offset east", "six forms in turns", "seconds", "units in turns"])
def test_f201_the_same_is_published_and_no_day_is_stale(world, name, recheck, capsys):
    kind = "INTEGER" if name in NUMBERS else "TIMESTAMP"
    form = {**TEXTS, **NUMBERS}[name]
    found = published(world, kind, form, recheck)
    assert "staged again" not in capsys.readouterr().out
    assert found[1][1][0] == 16
    other = published_elsewhere(world, recheck)
    assert found == other


def published_elsewhere(world: World, recheck: str) -> tuple[Any, ...]:
    """The same, of a new version of the view over real timestamps."""
    make(world._write, "TIMESTAMP", BLANK)
    source = [{"table": "readings", "time": "read_at", "known": "known_at"}]
    world.declare_view(STATION_LEVEL, LEVEL_SQL, source=source, recheck={"days": 2, "by": recheck})
    before = stored(world, "station_level", days(2, 5))
    for number in (2, 3, 4, 5):
        world.run_day("station_level", number)
    counts = [
        (p.rows, p.content_hash, p.source_rows, p.source_hash, p.source_watermark)
        for p in (partition("station_level", n) for n in (2, 3, 4, 5))
    ]
    assert stored(world, "station_level", days(2, 5)) == before
    return before, counts


def test_a_definition_that_names_no_columns_keeps_its_hash(world):
    plain = world.declared.view("station_level")
    assert "columns" not in plain.source[0].model_dump(mode="json")
    named = plain.model_copy(update={"source": [plain.source[0].model_copy(update={"columns": ["level"]})]})
    assert definition(named) != definition(plain)


# --- columns of every type -------------------------------------------------------------------------------------------


TYPES = {
    "uuid": "'7d444840-9dc0-11d1-b245-5ffdce74fad2'",
    "inet": "'10.0.0.1'",
    "cidr": "'10.0.0.0/8'",
    "macaddr": "'08:00:2b:01:02:03'",
    "char(5)": "'AB'",
    "mood": "'good'",
    "positive": "7",
    "numeric(12,2)": "1.50",
    "boolean": "true",
    "date": "'2024-03-01'",
}
READ_AS = {
    "uuid": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
    "inet": "10.0.0.1/32",
    "cidr": "10.0.0.0/8",
    "macaddr": "08:00:2b:01:02:03",
    "char(5)": "AB",
    "mood": "good",
    "positive": 7,
    "numeric(12,2)": 1.5,
    "boolean": True,
    "date": date(2024, 3, 1),
}
UNREADABLE = {
    "json": "'{}'",
    "jsonb": "'{}'",
    "text[]": "'{a}'",
    "interval": "'1 day'",
    "time": "'10:00'",
    "bytea": "'a'",
    "money": "'1'",
    "int4range": "'[1,2)'",
    "bit(3)": "B'101'",
    "tsvector": "'a'",
    "point": "'(1,2)'",
    "xml": "'<a/>'",
}


@pytest.fixture
def postgres(postgres_url: str) -> Callable[..., str]:
    def run(*statements: str) -> str:
        runner(postgres_url)(lambda connection: [connection.exec_driver_sql(each) for each in statements])
        return postgres_url

    run("CREATE TYPE mood AS ENUM ('good', 'bad')", "CREATE DOMAIN small AS int", "CREATE DOMAIN positive AS small")
    return run


AT = SourceTable(table="t", time="at")


@pytest.mark.postgres
@pytest.mark.parametrize("kind", TYPES)
def test_f202_a_type_with_a_place_is_read(postgres, kind):
    url = postgres(
        f"CREATE TABLE t (at timestamptz, u {kind})", f"INSERT INTO t VALUES ('2024-03-10 05:00+00', {TYPES[kind]})"
    )
    (row,) = extract(url, AT, day(10), at(99)).to_pylist()
    assert row["u"] == READ_AS[kind]


@pytest.mark.postgres
@pytest.mark.parametrize("kind", UNREADABLE)
def test_f202_a_type_without_a_place_is_left_out_and_refused_only_where_it_is_needed(postgres, kind):
    url = postgres(
        f"CREATE TABLE t (at timestamptz, u {kind}, n int)",
        f"INSERT INTO t VALUES ('2024-03-10 05:00+00', {UNREADABLE[kind]}, 3)",
        "CREATE VIEW v AS SELECT at, n FROM t",
    )
    rows = extract(url, AT, day(10), at(99))
    assert rows.column_names == ["at", "n"]
    assert list(left_out(rows)) == ["u"]
    declared = AT.model_copy(update={"columns": ["n"]})
    assert extract(url, declared, day(10), at(99)).equals(rows)
    with pytest.raises(ColumnUnreadable, match=r"t\.u cannot be read: its type .*Make a database view that casts"):
        extract(url, AT.model_copy(update={"columns": ["u"]}), day(10), at(99))
    assert left_out(extract(url, AT.model_copy(update={"table": "v"}), day(10), at(99))) == {}


@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date"])
@pytest.mark.parametrize("value", ["infinity", "-infinity"])
def test_f202_a_time_without_end_is_refused_by_column_and_row_and_not_asked_again(postgres, kind, value):
    row = f"INSERT INTO t VALUES ('2024-03-10 05:00+00', '{value}')"
    url = postgres(f"CREATE TABLE t (at timestamptz, valid_to {kind})", row)
    told = rf"t\.valid_to cannot be read: a value is '{value}' in the row of 2024-03-10 05"
    with pytest.raises(ColumnUnreadable, match=told):
        extract(url, AT, day(10), at(99), pace=Pace(attempts=1))
    assert extract(url, AT, day(11), at(99)).num_rows == 0
    known = SourceTable(table="t", time="at", known="valid_to")
    if value == "infinity":
        assert extract(url, known, day(10), at(99)).num_rows == 0, "what is never known is not read"


@pytest.mark.postgres
def test_f202_the_last_day_of_9999_is_a_time_in_every_zone_of_the_session(postgres):
    last = "INSERT INTO t VALUES ('2024-03-10 05:00+00', '9999-12-31 23:59:59.999999+00')"
    url = postgres("CREATE TABLE t (at timestamptz, valid_to timestamptz)", last)
    elsewhere = url.replace("search_path", "timezone%3DAsia/Tokyo%20-csearch_path")
    (row,) = extract(elsewhere, AT, day(10), at(99)).to_pylist()
    assert row["valid_to"] == datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


@pytest.mark.postgres
def test_f202_schemas_views_generated_columns_and_mixed_case_are_read(postgres):
    url = postgres(
        'CREATE TABLE "Orders" ("At" timestamptz, "Net" int, gross int GENERATED ALWAYS AS ("Net" * 2) STORED)',
        """INSERT INTO "Orders" VALUES ('2024-03-10 05:00+00', 2)""",
        'CREATE VIEW seen AS SELECT * FROM "Orders"',
        'CREATE MATERIALIZED VIEW kept AS SELECT * FROM "Orders"',
    )
    schema = url.rpartition("search_path%3D")[2] or url.rpartition("=")[2]
    for name in ("Orders", "seen", "kept", f"{schema}.Orders", f"{schema}.kept"):
        (row,) = extract(url, SourceTable(table=name, time="At"), day(10), at(99)).to_pylist()
        assert row == {"At": at(10, 5), "Net": 2, "gross": 4}, name


@pytest.mark.postgres
def test_a_view_that_divides_by_nought_is_told_once(postgres):
    row, view = "INSERT INTO t VALUES ('2024-03-10 05:00+00', 0)", "CREATE VIEW v AS SELECT at, 1 / n AS x FROM t"
    url = postgres("CREATE TABLE t (at timestamptz, n int)", row, view)
    with pytest.raises((ColumnUnreadable, SourceRefused), match="division by zero"):
        extract(url, SourceTable(table="v", time="at"), day(10), at(99), pace=Pace(attempts=1))


def test_f202_in_sqlite_what_is_not_needed_is_not_read(tmp_path):
    url = f"sqlite:///{tmp_path / 's.db'}"

    def build(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE t (at TIMESTAMP, image BLOB, extra JSON, bare, odd, n INTEGER)"))
        connection.execute(text("INSERT INTO t VALUES ('2024-03-10 05:00:00', x'00', '{}', 7, 'a', 3)"))
        connection.execute(text("INSERT INTO t VALUES ('2024-03-10 06:00:00', x'00', '{}', NULL, 5, 3)"))

    runner(url)(build)
    assert extract(url, AT, day(10), at(99)).column_names == ["at", "n"]
    rows = extract(url, AT, day(10), at(99), named={"bare", "n"})
    assert rows.column("bare").to_pylist() == [7, None]
    assert (
        left_out(extract(url, AT, day(10), at(99), named={"odd"}))["odd"]
        == "it has no type, and its values are integer and text"
    )
    with pytest.raises(ColumnUnreadable, match=r"t\.image cannot be read: its type BLOB"):
        extract(url, AT.model_copy(update={"columns": ["image"]}), day(10), at(99))


@pytest.fixture
def kept_as(tmp_path):
    """Makes a SQLite table whose column ``u`` has a type and values; what is read of it for a query."""

    def made(kind: str, *values: str):
        url = f"sqlite:///{tmp_path / 'kept.db'}"

        def build(connection: Connection) -> None:
            connection.execute(text(f"CREATE TABLE t (at TIMESTAMP, u {kind}, n INTEGER)"))
            for value in values:
                connection.execute(text(f"INSERT INTO t VALUES ('2024-03-10 05:00:00', {value}, 1)"))

        runner(url)(build)
        return lambda named: extract(url, AT, day(10), at(99), pace=Pace(attempts=1), named=named)

    return made


FOREIGN = ["UUID", "UNIQUEIDENTIFIER", "INET", "STRING", "POINT", "HSTORE", "INTERVAL", "DOUBLEISH"]
"""Types of other databases: SQLite takes each for a number, and keeps the text that it is given."""


@pytest.mark.parametrize("kind", FOREIGN)
def test_text_in_sqlite_under_the_name_of_another_databases_type_is_text_where_it_is_needed(kept_as, kind):
    read = kept_as(kind, "'3fa8'", "NULL", "'b-7'")
    unneeded = read({"n"})
    assert unneeded.column_names == ["at", "n"]
    assert "Could not convert '3fa8'" in left_out(unneeded)["u"]
    for named in ({"n", "u"}, {"*"}, None):
        assert read(named).column("u").to_pylist() == ["3fa8", None, "b-7"]


@pytest.mark.parametrize("kind", ["INT8", "BIGSERIAL", "UNSIGNED BIG INT", "MONEY"])
def test_numbers_in_sqlite_under_a_foreign_types_name_stay_numbers(kept_as, kind):
    assert kept_as(kind, "1", "3")({"u"}).column("u").to_pylist() == [1, 3]


@pytest.mark.parametrize("kind", ["INTEGER", "DATE", "BOOLEAN", "REAL"])
def test_a_value_that_is_not_of_its_columns_type_stops_a_query_only_if_it_needs_the_column(kept_as, kind):
    read = kept_as(kind, "'x'", "NULL")
    assert read({"n"}).column("n").to_pylist() == [1, 1]
    for named in ({"n", "u"}, {"*"}, None):
        with pytest.raises(ColumnUnreadable, match=r"t\.u cannot be read: 1 of 2 values .* 'x'"):
            read(named)


def test_a_boolean_of_sqlite_is_what_its_word_says(kept_as):
    read = kept_as("BOOLEAN", "1", "0", "'true'", "'false'", "'T'", "'f'", "NULL")
    assert read(None).column("u").to_pylist() == [True, False, True, False, True, False, None]


def test_f202_a_query_that_needs_what_was_left_out_says_the_way_out(world):
    world.run("ALTER TABLE readings ADD COLUMN raw BLOB")
    world.declare_view(STATION_LEVEL, LEVEL_SQL.replace("level AS mean", "octet_length(raw) AS mean"))
    world.fill(2, 3)
    with pytest.raises(Exception, match=r"readings\.raw was not read, since its type BLOB.*make a database view"):
        world.stage("station_level", day(2))


def test_rows_that_differ_only_in_what_was_left_out_are_all_kept(world):
    world.run("ALTER TABLE readings ADD COLUMN raw BLOB")
    world.run("INSERT INTO readings VALUES ('north', '2024-03-02 01:00:00', 1, '2024-03-02 01:30:00', x'01')")
    world.run("INSERT INTO readings VALUES ('north', '2024-03-02 01:00:00', 1, '2024-03-02 01:30:00', x'02')")
    world.declare_view(STATION_LEVEL, LEVEL_SQL.replace("level AS mean_level_3h", "count(*) OVER () AS mean_level_3h"))
    staged = world.stage("station_level", day(2))
    assert staged.source["2024-03-02"].rows == 2
    assert "repeated_source_rows" not in staged.notes
