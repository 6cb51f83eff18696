"""``slipway new project`` and ``new source``: a folder for declarations, and what its database has."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.adapters import files
from include.config import loader
from include.config.settings import PROJECT, SOURCE_URL_FILE
from include.domain.errors import Unavailable
from include.domain.wording import count_of
from include.workflows.beginning import guesses, source_file
from include.workflows.beginning.guesses import CannotBegin, Meaning
from include.workflows.beginning.yaml_words import as_text, listed

if TYPE_CHECKING:
    from include.adapters.source import FoundColumn, FoundTable

ENVIRONMENT = "slipway.env"
ENV = """\
# `. {file}` in each shell that works with this project.
export SLIPWAY_DECLARATIONS={root}
export SLIPWAY_HOME={root}/.slipway
export PATH={binaries}:"$PATH"
"""
IGNORED = (
    f"# The database's address may hold a password; .slipway is what a machine makes.\n{SOURCE_URL_FILE}\n.slipway/\n"
)
SOURCE = """\
# What `slipway new source` found in
# {url}
# `slipway new view NAME --from-table TABLE` begins from it: correct it, and take out of `guessed` what you checked.
tables:
{tables}
"""


class SourceSilent(Unavailable):
    """The database does not answer, as a sentence about its address."""


@dataclass(frozen=True, slots=True)
class TableTold:
    """A table, with what its columns may mean; None where that is not known."""

    found: FoundTable
    key: Meaning | None
    time: Meaning | None
    known: Meaning | None

    def lines(self) -> list[str]:
        found = self.found
        if found.unread is not None:
            return [f"{found.name}: not read: {found.unread}"]
        rows = "rows not counted, it took too long" if found.rows is None else count_of(found.rows, "row")
        key = (
            "key: none found, say --key" if self.key is None else f"key: {', '.join(self.key.columns)} ({self.key.how})"
        )
        lines = [f"{found.name}: {rows}", f"    {key}"]
        if self.time is None:
            lines.append("    event time: none; it can be joined in a view of another table")
        else:
            lines.append(f"    event time: `{self.time.column}` ({self.time.how})")
        for each in guesses.times_of(found):
            lines.append(f"    time {each.name}: {_span(each)}")
        others = [
            f"{e.name} {e.kind}" for e in found.columns if e.name not in {t.name for t in guesses.times_of(found)}
        ]
        lines.append(f"    columns: {', '.join(others) or 'no others'}")
        lines += [f"    cannot be read: {name}, {why}" for name, why in found.left_out.items()]
        return lines

    def as_json(self) -> dict[str, Any]:
        def told(meaning: Meaning | None) -> dict[str, Any] | None:
            return None if meaning is None else {"columns": list(meaning.columns), "guess": meaning.is_guess}

        return {
            "table": self.found.name,
            "not_read": self.found.unread,
            "rows": self.found.rows,
            "key": told(self.key),
            "event_time": told(self.time),
            "available_time": told(self.known),
            "columns": {each.name: each.kind for each in self.found.columns},
            "times": {e.name: {"first": e.first, "last": e.last} for e in guesses.times_of(self.found)},
            "left_out": self.found.left_out,
        }


def _span(column: FoundColumn) -> str:
    known = None if column.kind == "date" else column.zoned
    zone = {True: "with zone", False: "without zone, taken as UTC", None: ""}[known]
    span = "its ends are not known"
    if column.first is not None:
        span = f"{column.first:%Y-%m-%d %H:%M} to {column.last:%Y-%m-%d %H:%M}"
    kind = column.kind if column.declared_time else f"{column.kind} that holds times"
    missing = f"{column.missing:.0%} missing" if column.missing else ""
    return ", ".join(each for each in (kind, zone, span, missing) if each)


def write_project(folder: Path) -> list[Path]:
    """The folder of a project: places for declarations, and the environment of a shell that works with it.

    Raises:
        CannotBegin: when something is there already.
    """
    root = folder.expanduser().absolute()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise CannotBegin(f"{root} is there already and is not empty; name a folder that is not there yet.")
    try:
        for each in ("features", "models"):
            (root / each).mkdir(parents=True)
    except OSError as error:
        raise CannotBegin(f"{root} cannot be made a folder ({error.strerror}).") from None
    shutil.copy(PROJECT / "include/models/tiers.yaml", root / "models/tiers.yaml")
    binaries = Path(sys.executable).parent
    text = ENV.format(file=root / ENVIRONMENT, root=shlex.quote(str(root)), binaries=shlex.quote(str(binaries)))
    files.write_text(root / ENVIRONMENT, text)
    files.write_text(root / ".gitignore", IGNORED)
    return [root / ENVIRONMENT, root / "features", root / "models"]


def look_at(url: str, only: Sequence[str] = ()) -> list[TableTold]:
    """What the database has, and what its columns may mean.

    Raises:
        SourceSilent: when it does not answer. CannotBegin: when it has no table.
    """
    from include.adapters import source

    try:
        found = [source.found_table(url, name) for name in only] or source.found_tables(url)
    except source.SourceUnreachable as error:
        raise SourceSilent(f"{_address(url)} cannot be read: {error.reason.rstrip('.')}.") from None
    if not found:
        raise CannotBegin(f"{_address(url)} has no table that this user may see. Name another database or user.")
    return [_told(each) for each in found]


def write_source(url: str, told: Sequence[TableTold], root: Path | None = None) -> Path:
    """Keep the address, readable by its owner only, and what was found.

    Raises:
        CannotBegin: when ``source.yaml`` is there already, or no table can be declared.
    """
    root = root or loader.ROOT
    file = root / source_file.NAME
    if root == PROJECT / "include":
        raise CannotBegin(
            "This shell works with the demonstration. Make a project of your own with `slipway new project FOLDER`, "
            f"and read its environment: `. FOLDER/{ENVIRONMENT}`."
        )
    if file.exists():
        raise CannotBegin(f"{file} is there already; edit it, or remove it to look again.")
    usable = [each for each in told if each.found.unread is None]
    if not usable:
        raise CannotBegin(f"No table of {_address(url)} can be read. {' '.join(told[0].lines())}")
    files.write_text(root / SOURCE_URL_FILE, _from_anywhere(url) + "\n", 0o600)
    text = SOURCE.format(url=_address(url), tables="\n".join(_noted(each) for each in usable))
    files.write_text(file, text)
    return file


def hidden_by_shell(url: str) -> str | None:
    """The address that this shell takes instead of the project's; None where it takes that."""
    given = os.environ.get("SLIPWAY_SOURCE_URL")
    return None if given is None or given == url else _address(given)


def _told(found: FoundTable) -> TableTold:
    if found.unread is not None:
        return TableTold(found, None, None, None)
    key = time = known = None
    try:
        key = guesses.key_of(found)
    except CannotBegin:
        key = None
    try:
        time = guesses.event_time_of(found)
        known = guesses.known_of(found, str(time.column))
    except CannotBegin:
        time = None
    return TableTold(found, key, time, known)


def _noted(told: TableTold) -> str:
    guessed = []
    rows = "not counted" if told.found.rows is None else f"{told.found.rows:,} rows"
    lines = [f"  - table: {told.found.name} # {rows}"]
    if told.key is not None:
        lines.append(f"    keys: {listed(told.key.columns)} # {told.key.briefly}")
        guessed += ["keys"] * told.key.is_guess
    if told.time is not None:
        lines.append(f"    time: {as_text(str(told.time.column))} # {told.time.briefly}")
        guessed += ["time"] * told.time.is_guess
    if told.known is not None and told.known.column:
        lines.append(f"    known: {as_text(told.known.column)} # {told.known.briefly}")
        guessed += ["known"] * told.known.is_guess
    return "\n".join([*lines, *([f"    guessed: {listed(guessed)}"] if guessed else [])])


def _from_anywhere(url: str) -> str:
    """With the whole path of a file: services and tasks run in other folders than this shell."""
    from sqlalchemy import make_url

    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return url
    whole = parsed.set(database=str(Path(parsed.database).absolute()))
    return whole.render_as_string(hide_password=False)


def _address(url: str) -> str:
    """Without its password."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return (
            f"{url.partition(':')[0][:20]!r}, which is no SQLAlchemy URL such as postgresql+psycopg://user@host/name,"
        )
