"""The generated reference leaves nothing out: no field, no number without a unit, no column, no verb, no gate."""

from __future__ import annotations

import re

import pytest

from docs.generator import commands, declarations, errors, faults, gates, ledger, links, since, site, wings
from include import cli
from include.adapters.ledger.tables import metadata
from include.config.settings import PROJECT
from include.domain.errors import Refusal
from include.workflows.gates import GATES

FIELDS = [
    pytest.param(section, field, id=f"{file} {section.path}.{field.name}")
    for file in declarations.ROOTS
    for section in declarations.sections(file)
    for field in section.fields
]


# --- declarations ----------------------------------------------------------------------------------------------------


def test_the_reference_reaches_every_declared_type():
    from include.config.base import Declared

    def below(kind):
        return {each for one in kind.__subclasses__() for each in (one, *below(one))}

    reached = {section.kind for file in declarations.ROOTS for section in declarations.sections(file)}
    # What others build on is reached as a part of them.
    last = {kind for kind in below(Declared) if not kind.__subclasses__()}
    ours = {kind for kind in last if kind.__module__.startswith("include.")}
    assert len(ours) > 40
    assert {kind.__name__ for kind in ours - reached} == set()


@pytest.mark.parametrize(("section", "field"), FIELDS)
def test_no_field_of_a_declaration_lacks_a_meaning_and_no_number_a_unit(section, field):
    assert field.meaning.endswith((".", ".)")), f"{section.kind.__name__}.{field.name} needs a docstring below it"
    assert field.type
    assert field.default
    if field.numeric:
        assert field.unit, (
            f"{section.kind.__name__}.{field.name} is a number: name its unit in UNITS of declarations.py"
        )


def test_a_default_that_the_docstring_states_is_the_default():
    """Where a meaning ends in "default 0.05" that is the type's own default."""
    wrong = []
    for param in FIELDS:
        section, field = param.values
        stated = re.search(r"; default (-?[0-9][0-9.e-]*[mhd]?)\.$", field.meaning)
        if stated and field.default != "required" and stated[1] != field.default.strip("`"):
            as_numbers = {
                float(text) for text in (stated[1], field.default.strip("`")) if re.fullmatch(r"[\d.e-]+", text)
            }
            if len(as_numbers) != 1:
                wrong.append(f"{section.kind.__name__}.{field.name}: {stated[1]} is said, {field.default} is true")
    assert wrong == []


def test_a_released_field_is_still_there_and_every_version_is_in_the_changelog():
    changelog = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    for version, brought in since.released().items():
        assert f"## [{version}]" in changelog
        for file, paths in brought.items():
            assert set(paths) - set(since.paths_of(file)) == set(), (
                "an old key is read for ever; where it has a new name, write that into since.yaml"
            )


# --- the others ------------------------------------------------------------------------------------------------------


def test_no_table_and_no_column_of_the_ledger_lacks_a_meaning_and_none_is_explained_that_is_gone():
    tables = {table.name: set(table.columns.keys()) for table in metadata.sorted_tables}
    missing = [f"{t}.{c}" for t, columns in tables.items() for c in ("", *columns) if not ledger.meaning_of(t, c)]
    assert missing == []
    explained = {t: set(c) - {""} for t, c in ledger.meanings().items() if t != ledger.EVERYWHERE}
    assert set(explained) == set(tables)
    assert [f"{t}.{c}" for t, columns in explained.items() for c in columns - tables[t]] == []
    used = {c for columns in tables.values() for c in columns}
    assert set(ledger.meanings()[ledger.EVERYWHERE]) - used == set()


def test_every_verb_and_each_of_its_options_is_on_the_page():
    page = commands.page_of()
    listed = re.findall(r"^### `slipway (\w+)`", page, re.MULTILINE)
    assert sorted(listed) == [verb.name for verb in cli.verbs()]
    for option in ("--effect", "--supersede", "--made-rows"):
        assert f"`{option}`" in page


def test_every_gate_is_on_the_page_in_the_order_of_a_journey():
    assert re.findall(r"^\| \[(\w+)\]", gates.page_of(), re.MULTILINE) == [gate.name for gate in GATES]


def test_exceptions_are_listed_below_what_they_derive_from_with_code_and_status():
    page = errors.page_of(lambda kind: "422" if issubclass(kind, Refusal) else "500")
    assert "| `Refusal` | 64 | 422 |" in page
    assert re.search(r"^\| &emsp;`BadField` \| 64 \| 422 \| One field of a request is wrong", page, re.MULTILINE)
    assert re.search(r"^\| &emsp;&emsp;`JourneyUnderWay` \|", page, re.MULTILINE), "below LedgerError, below Refusal"
    assert "| `Mistake` | 64 |" in page


def test_every_wing_says_what_comes_in_and_goes_out_in_the_order_that_is_checked():
    named = [name for floor in wings.order() for name in floor]
    there = {each.stem for each in wings.WORKFLOWS.iterdir() if each.stem[0] != "_"}
    assert set(named) == there
    folders = [name for name in named if (wings.WORKFLOWS / name).is_dir()]
    assert [name for name in folders if " In: " not in f" {wings.sentences(name)}"] == []
    assert re.findall(r"^\| `(\w+)` \|", wings.page_of(), re.MULTILINE) == named


def test_each_fault_has_the_files_of_its_tests():
    page = faults.with_tests((PROJECT / "docs/faults.md").read_text(encoding="utf-8"))
    assert "| number | fault | what must hold | tests |" in page
    line = next(line for line in page.splitlines() if line.startswith("| f134 |"))
    assert line.endswith("| `integration/test_judge.py` |")


# --- the site --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "written", "shown"),
    [
        ("judge.md", "[a](selftest.md#x)", "[a](selftest.md#x)"),
        ("adr/0001-x.md", "[a](../drift.md)", "[a](../drift.md)"),
        ("judge.md", "[the changes](../CHANGELOG.md)", "[the changes](CHANGELOG.md)"),
        ("CONTRIBUTING.md", "[words](docs/glossary.md)", "[words](glossary.md)"),
        ("adr/0001-x.md", "[tiers](../../include/models/tiers.yaml)", "tiers (`include/models/tiers.yaml`)"),
        ("judge.md", "[a](https://example.org)", "[a](https://example.org)"),
        ("judge.md", "[up](../README.md)", "[up](index.md)"),
    ],
)
def test_a_link_of_the_repository_leads_to_the_sites_page_or_names_the_file(place, written, shown):
    assert site.adapted(written, place) == shown


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('<a href="other.html">x</a>', None),
        ('<a href="other.html#there">x</a>', None),
        ('<a href="https://example.org/gone">x</a>', None),
        ('<a href="gone.html">x</a>', "page.html links to gone.html, which is not in the site."),
        ('<a href="other.html#gone">x</a>', "page.html links to other.html#gone, and that page has no such heading."),
        ('<img src="gone.png">', "page.html loads gone.png, which is not in the site."),
        (
            '<script src="https://cdn.example.org/a.js"></script>',
            "page.html loads https://cdn.example.org/a.js from another host.",
        ),
        (
            '<link rel="preconnect" href="https://fonts.gstatic.com">',
            "page.html loads https://fonts.gstatic.com from another host.",
        ),
    ],
)
def test_a_dead_link_and_a_foreign_host_are_named(tmp_path, body, problem):
    (tmp_path / "page.html").write_text(body, encoding="utf-8")
    (tmp_path / "other.html").write_text('<h2 id="there">x</h2>', encoding="utf-8")
    assert links.problems(tmp_path) == ([problem] if problem else [])
