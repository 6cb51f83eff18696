"""A key that is given twice is refused wherever YAML is read, with the lines; other YAML means what it did."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from include.cli import main
from include.config import yaml_text
from include.config.loader import read_declarations
from include.config.yaml_text import KeyGivenTwice, parsed

PROJECT = Path(__file__).resolve().parents[3]
NAMES = st.text("abcdefgh_", min_size=1, max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        pytest.param("a: 1\nb: 2\na: 3\n", 3, "a is given twice, lines 1 and 3.", id="at the top"),
        pytest.param("a:\n  b: 1\n  c: {d: 1, d: 2}\n", 3, "a.c.d is given twice, line 3.", id="in one line"),
        pytest.param("a:\n- b: 1\n- b: 1\n  b: 2\n", 4, "a.1.b is given twice, lines 3 and 4.", id="in a list"),
        pytest.param("a: 1\na: 2\na: 3\n", 2, "a is given 3 times, lines 1, 2 and 3.", id="three times"),
        pytest.param("'a': 1\na: 2\n", 2, "a is given twice, lines 1 and 2.", id="quoted and plain"),
        pytest.param("yes: 1\ntrue: 2\n", 2, "yes is given twice, lines 1 and 2.", id="two spellings of true"),
        pytest.param("8: 1\n0x8: 2\n", 2, "8 is given twice, lines 1 and 2.", id="two spellings of a number"),
        pytest.param("a: &x {b: 1}\nc: &y {b: 2}\nd: {<<: *x, <<: *y}\n", 3, "d.<< is given twice", id="two merges"),
    ],
)
def test_f203_a_key_given_twice_is_refused_with_its_lines(text, line, sentence):
    with pytest.raises(KeyGivenTwice) as caught:
        parsed(text)
    (place, told), *_ = caught.value.problems
    assert place == line
    assert told.startswith(sentence)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\n", id="a merge whose key is overridden"),
        pytest.param("a: &x {b: 1}\nc: &y {b: 2}\nd: {<<: [*x, *y]}\n", id="a merge of two"),
        pytest.param("a: &x {b: 1}\nc: *x\nd: *x\n", id="an anchor used twice"),
        pytest.param("1: a\n'1': b\n", id="a number and a text"),
        pytest.param("", id="nothing"),
        pytest.param("a: 2024-03-01\nb: 1.5\nc: [yes, no]\n", id="dates, numbers, booleans"),
    ],
)
def test_what_gives_no_key_twice_means_what_it_always_did(text):
    assert parsed(text) == yaml.safe_load(text)


@settings(deadline=None)
@given(VALUES, st.booleans())
def test_whatever_is_written_by_a_program_is_read_back(value, flow):
    assert parsed(yaml.safe_dump(value, default_flow_style=flow)) == value


@settings(deadline=None)
@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4), st.data())
def test_any_key_of_any_mapping_repeated_is_noticed(value, data):
    key = data.draw(st.sampled_from(sorted(value)))
    text = yaml.safe_dump(value, default_flow_style=False) + yaml.safe_dump({key: None})
    with pytest.raises(KeyGivenTwice, match=f"^{key} is given twice"):
        parsed(text)


def test_f203_a_second_bound_does_not_replace_the_first_in_judge(tmp_path, capsys):
    gate = "threshold_gate: {{criteria: [{{metric: roc_auc, at_least: {}}}]}}\n"
    (tmp_path / "gates.yaml").write_text("task: binary\n" + gate.format(0.9) + gate.format(0.5))
    (tmp_path / "d.csv").write_text("y,p\n" + "0,0.1\n1,0.9\n" * 50)
    call = ["judge", "--data", str(tmp_path / "d.csv"), "--gates", str(tmp_path / "gates.yaml"), "--label", "y"]
    assert main([*call, "--candidate", "p", "--first-deployment"]) == 64
    assert "gates.yaml:3: threshold_gate is given twice, lines 2 and 3." in capsys.readouterr().err


@pytest.mark.parametrize("file", ["features/v/view.yaml", "models/m/model.yaml", "models/tiers.yaml"])
def test_f203_every_declaration_is_read_so(tmp_path, file):
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text("name: a\nquality:\n  min_rows: 1\n  min_rows: 2\nname: b\n")
    broken = read_declarations(tmp_path).broken[path]
    assert broken.problems == [
        f"{path}:4: quality.min_rows is given twice, lines 3 and 4.",
        f"{path}:5: name is given twice, lines 1 and 5.",
    ]


def test_nothing_else_reads_yaml():
    """PyYAML's own loaders let the last of two keys win."""
    for file in [*PROJECT.glob("include/**/*.py"), *PROJECT.glob("plugins/**/*.py"), *PROJECT.glob("config/**/*.py")]:
        if file == Path(yaml_text.__file__):
            continue
        code = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(code)) if "yaml." in code else ():
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "yaml":
                assert node.attr in ("compose", "YAMLError", "MappingNode", "SequenceNode", "safe_dump"), file
