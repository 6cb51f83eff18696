"""What a decision's reason says of findings in the data."""

from dataclasses import replace

from include.domain.data_incident import DataIncident
from include.domain.decision_words import once, still
from include.domain.drift.report import Finding
from include.domain.incident import Stage

ASKED = DataIncident("2013-06-01", "c1", Stage.OPEN, ("delay missing",), "delay is missing in 40 %.", "2013-06-03")


def test_a_finding_that_a_person_was_asked_about_is_said_with_its_day_and_whether_it_is_gone():
    assert still(ASKED) == "a person was asked on 2013-06-01 about this. delay is missing in 40 %."
    assert still(replace(ASKED, quiet=1)) == f"{still(ASKED)} Not found any more since 2013-06-03."
    assert still(None) == ""


def test_of_findings_that_no_one_is_asked_about_three_are_said():
    found = tuple(Finding("delay", "missing", 0.4, 0.1, f"Reason {n}.") for n in range(4))
    said = "neither for enough days nor far enough beyond its limit to ask."
    assert once(found) == f"{said} Reason 0. Reason 1. Reason 2."
    assert once(found[:1]) == f"{said} Reason 0."
