"""Counters of workers: added up over those that are gone too, and said as Prometheus reads them."""

from __future__ import annotations

import subprocess
import sys

from include.config.settings import PROJECT
from include.serving.counters import ENDS, Counters, added_up, exposition, labelled


def test_f170_the_sum_never_goes_back_when_a_worker_is_followed_by_another(tmp_path):
    first = Counters(tmp_path / f"1{ENDS}")
    name = labelled("slipway_requests_total", model="wind", code=200)
    for _ in range(5):
        first.add(name)
    del first
    second = Counters(tmp_path / f"2{ENDS}")
    assert added_up(tmp_path) == {name: 5.0}
    second.add(name)
    second.add("slipway_other_total", 2)
    assert added_up(tmp_path) == {name: 6.0, "slipway_other_total": 2.0}


def test_a_histogram_is_cumulative_and_each_family_is_typed_once():
    counted = {
        'slipway_request_seconds_bucket{model="wind",le="0.001"}': 3.0,
        'slipway_request_seconds_bucket{model="wind",le="inf"}': 1.0,
        'slipway_request_seconds_sum{model="wind"}': 9.5,
        'slipway_request_seconds_count{model="wind"}': 4.0,
        'slipway_rows_total{model="wind"}': 4.0,
    }
    lines = exposition(counted, {'slipway_route_revision{model="wind"}': 2.0}).splitlines()
    assert lines.count("# TYPE slipway_request_seconds histogram") == 1
    assert 'slipway_request_seconds_bucket{model="wind",le="0.0005"} 0' in lines
    assert 'slipway_request_seconds_bucket{model="wind",le="0.001"} 3' in lines
    assert 'slipway_request_seconds_bucket{model="wind",le="5.0"} 3' in lines
    assert 'slipway_request_seconds_bucket{model="wind",le="+Inf"} 4' in lines
    assert lines[-2:] == ["# TYPE slipway_route_revision gauge", 'slipway_route_revision{model="wind"} 2']


def test_a_label_cannot_break_the_text_and_too_many_counters_are_left_out(tmp_path):
    assert labelled("x", a='"\n\\') == 'x{a="\\"\\n\\\\"}'
    counters = Counters(tmp_path / f"1{ENDS}")
    for number in range(2_100):
        counters.add(f"c{number}")
    counters.add("x" * 300)
    assert len(added_up(tmp_path)) == 2_000


def test_a_worker_imports_nothing_heavy():
    code = (
        "import sys, include.serving.worker, uvicorn\n"
        "heavy = {'pandas', 'sklearn', 'mlflow', 'sqlalchemy', 'scipy', 'pyarrow', 'pydantic', 'airflow', 'duckdb'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
