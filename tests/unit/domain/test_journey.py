"""A retrain request is anybody's JSON: refused in one line, or kept exactly as it came."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from include.domain.intervals import Interval, instant
from include.domain.journey import (
    BadRequest,
    RetrainRequest,
    Trigger,
    candidate_id,
    drift_run_id,
    retrain_request,
    training_windows,
)

LATEST = datetime(2013, 6, 20, tzinfo=UTC)
EARLIEST = datetime(2013, 1, 1, tzinfo=UTC)
GOOD = {"as_of": "2013-06-15", "reason": "brier out of band", "requested_by": "ana"}


def read(conf=None, **options):
    return retrain_request(GOOD | (conf or {}), latest=LATEST, earliest=EARLIEST, **options)


def refused(conf, **options):
    with pytest.raises(BadRequest) as caught:
        retrain_request(conf, latest=LATEST, earliest=EARLIEST, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


# --- what is accepted -------------------------------------------------------------------------------------------------


def test_the_least_request_says_as_of_when_why_and_who():
    assert read() == RetrainRequest(
        as_of=datetime(2013, 6, 15, tzinfo=UTC), reason="brier out of band", requested_by="ana", trigger=Trigger.API
    )


def test_a_full_request_keeps_every_field():
    full = {
        "trigger": "drift",
        "issue": "OPS-17",
        "report_id": "r-1",
        "supersede": True,
    }
    request = read(full)
    assert (request.trigger, request.issue, request.report_id) == (Trigger.DRIFT, "OPS-17", "r-1")
    assert request.supersede is True


def test_a_request_written_as_conf_and_read_again_is_the_same():
    request = read({"issue": "OPS-17", "supersede": True})
    again = retrain_request(json.loads(json.dumps(request.as_conf())), latest=LATEST)
    assert again == request
    assert again.fingerprint == request.fingerprint


def test_a_request_that_was_recorded_by_an_earlier_version_has_the_same_fingerprint():
    assert read({"issue": "OPS-17"}).fingerprint == ("7919aad149baf52d0102b661e5e8449acbd4b01d72ec9eb12b4b0ffb18946afd")


def test_another_request_has_another_fingerprint():
    assert read().fingerprint != read({"reason": "other"}).fingerprint


def test_null_is_a_field_left_out():
    assert read({"issue": None, "supersede": None, "trigger": None}) == read()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        pytest.param("2013-06-15", datetime(2013, 6, 15, tzinfo=UTC), id="a date is its midnight"),
        pytest.param("2013-06-15T06:30:00Z", datetime(2013, 6, 15, 6, 30, tzinfo=UTC), id="UTC"),
        pytest.param("2013-06-15T02:30:00-04:00", datetime(2013, 6, 15, 6, 30, tzinfo=UTC), id="another offset"),
        pytest.param("2013-06-20T00:00:00+00:00", LATEST, id="the latest is allowed"),
    ],
)
def test_as_of_is_read_as_utc(text, moment):
    assert read({"as_of": text}).as_of == moment


def test_a_scheduled_run_brings_its_own_time_reason_and_name():
    request = retrain_request(
        {},
        latest=LATEST,
        default_as_of=LATEST,
        default_reason="scheduled",
        default_requested_by="schedule",
        default_trigger=Trigger.SCHEDULE,
    )
    assert (request.as_of, request.reason, request.trigger) == (LATEST, "scheduled", Trigger.SCHEDULE)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("conf", [None, {}, {"reason": "r", "requested_by": "ana"}, GOOD | {"as_of": None}])
def test_f010_a_run_without_a_time_is_refused_and_never_means_all_data(conf):
    message = refused(conf)
    assert message == "as_of is missing; say as of when to train the model, for example 2013-06-01."


@pytest.mark.parametrize(
    ("as_of", "message"),
    [
        pytest.param("x" * 40, "write a date or time in ISO 8601", id="forty characters are read"),
        pytest.param("x" * 41, "has at most 40 characters", id="one more is not"),
        pytest.param(
            "2013-06-20T00:00:01Z", "after the newest data; the latest allowed is 2013-06-20T00:00", id="later"
        ),
        pytest.param("2999-01-01", "after the newest data", id="far future"),
        pytest.param("2012-12-31", "before any data; the earliest allowed is 2013-01-01", id="before any data"),
        pytest.param("0001-01-01T00:00:00+14:00", "write a date or time in ISO 8601", id="before all time"),
        pytest.param("9999-12-31T23:59:59-14:00", "write a date or time in ISO 8601", id="after all time"),
    ],
)
def test_f011_a_time_without_data_is_refused_before_anything_is_read(as_of, message):
    assert message in refused(GOOD | {"as_of": as_of})


@pytest.mark.parametrize(("window", "holdout"), [(0, 14), (-1, 14), (90, 0), (90, -3)])
def test_f011_an_empty_or_negative_window_is_refused(window, holdout):
    with pytest.raises(BadRequest, match=r"_days is -?\d; it must be at least 1 day"):
        training_windows(LATEST, window, holdout, timedelta(days=1))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        pytest.param(
            "supersede", "true", "supersede is 'true'; it must be true or false, not text.", id="text for boolean"
        ),
        pytest.param("supersede", "1", "supersede is '1'; it must be true or false, not text.", id="one as text"),
        pytest.param("supersede", 1, "supersede is 1; it must be true or false, not a number.", id="one for true"),
        pytest.param("supersede", float("nan"), "supersede is nan; it must be true or false", id="NaN"),
        pytest.param("reason", True, "reason is True; it must be text, not a boolean.", id="true for text"),
        pytest.param(
            "reason", 10**30, "reason is 1000000000000000000000000000000; it must be text", id="a huge number"
        ),
        pytest.param(
            "reason", 10**5000, "reason is a number of more than 60 digits; it must be text", id="5000 digits"
        ),
        pytest.param("reason", ["a"], "reason is a list of 1; it must be text, not a list.", id="a list"),
        pytest.param("reason", {"a": {}}, "reason is an object of 1; it must be text, not an object.", id="an object"),
        pytest.param(
            "as_of", 20130615, "as_of is 20130615; it must be text with a date or time", id="a number for a date"
        ),
        pytest.param("as_of", True, "as_of is True; it must be text with a date", id="true for a date"),
        pytest.param("as_of", float("inf"), "as_of is inf; it must be text", id="1e400"),
        pytest.param("as_of", "garbage", "as_of is 'garbage'; write a date or time in ISO 8601", id="no date"),
        pytest.param("as_of", "2013-02-30", "as_of is '2013-02-30'; write a date", id="no such day"),
        pytest.param("as_of", "", "as_of is ''; write a date", id="empty date"),
        pytest.param("as_of", "2013-06-15" + " " * 50, "at most 40 characters", id="a long date"),
        pytest.param(
            "trigger", "dirft", "allowed are: drift, schedule, api. Did you mean 'drift'?", id="misspelt trigger"
        ),
        pytest.param("trigger", 3, "trigger is 3; allowed are: drift, schedule, api", id="a number for a trigger"),
    ],
)
def test_f109_a_wrong_type_is_refused_with_field_value_and_what_is_allowed(name, value, message):
    assert message in refused(GOOD | {name: value})


@pytest.mark.parametrize("conf", [[], "text", 7, True, float("nan")])
def test_f109_what_is_no_object_is_refused(conf):
    assert "send a JSON object with: as_of, reason" in refused(conf)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        pytest.param("asof", "Did you mean 'as_of'?", id="misspelt"),
        pytest.param("reson", "Did you mean 'reason'?", id="a letter missing"),
        pytest.param("zzz", "allowed are: as_of, reason", id="nothing like it"),
        pytest.param("x" * 10_000, "...", id="endless"),
        pytest.param(7, "allowed are", id="no text"),
        pytest.param("a\nb\x00", "'a\\nb\\x00'", id="control characters"),
    ],
)
def test_f110_an_unknown_key_is_refused(name, hint):
    message = refused(GOOD | {name: 1})
    assert "there is no such field" in message
    assert hint in message


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        pytest.param("reason", "x" * 501, "has 501 characters; at most 500 are allowed", id="too long"),
        pytest.param("reason", "x" * 10_000_000, "has 10000000 characters", id="ten megabytes"),
        pytest.param("reason", "", "1 to 500 characters", id="empty"),
        pytest.param("reason", "  \u00a0 ", "1 to 500 characters", id="blanks"),
        pytest.param("requested_by", "x" * 101, "at most 100", id="a long name"),
        pytest.param("reason", "a\x00b", "U+0000 is not allowed", id="NUL"),
        pytest.param("reason", "a\nb", "U+000A is not allowed", id="two lines"),
        pytest.param("reason", "a\x1b[31mb", "U+001B is not allowed", id="terminal colours"),
        pytest.param("reason", "a\ud800b", "U+D800 is not allowed", id="half a character"),
        pytest.param("reason", "a\u202eb", "U+202E is not allowed", id="text turned around"),
        pytest.param("reason", "a\u2028b", "U+2028 is not allowed", id="a line separator"),
    ],
)
def test_text_is_one_bounded_line(name, value, message):
    assert message in refused(GOOD | {name: value})


@pytest.mark.parametrize(("name", "most"), [("reason", 500), ("requested_by", 100), ("issue", 200), ("report_id", 200)])
def test_text_of_just_the_most_characters_is_kept(name, most):
    assert getattr(read({name: "x" * most}), name) == "x" * most
    assert f"{name} is 'xxx" in refused(GOOD | {name: "x" * (most + 1)})


def test_a_time_at_either_end_of_the_data_is_taken():
    assert read({"as_of": LATEST.isoformat()}).as_of == LATEST
    assert read({"as_of": EARLIEST.isoformat()}).as_of == EARLIEST


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param("x" * 60, "'" + "x" * 60 + "'", id="sixty characters are shown whole"),
        pytest.param("x" * 61, "'" + "x" * 59 + "...", id="one more is cut"),
        pytest.param([1, 2, 3], "a list of 3", id="a list"),
        pytest.param({"a": 1}, "an object of 1", id="an object"),
        pytest.param(2**200 - 1, str(2**200 - 1), id="a large number"),
        pytest.param(2**200, "a number of more than 60 digits", id="a larger number"),
        pytest.param(True, "True", id="a boolean"),
    ],
)
def test_a_bad_value_is_shown_on_one_short_line(value, shown):
    assert refused(GOOD | {"trigger": value}).startswith(f"trigger is {shown}; allowed are")


@pytest.mark.parametrize("name", ["reason", "requested_by"])
def test_a_required_text_that_is_missing_is_named(name):
    conf = {k: v for k, v in GOOD.items() if k != name}
    assert refused(conf).startswith(f"{name} is missing; it is required")


@pytest.mark.parametrize(
    "text",
    [
        "'; DROP TABLE candidates; --",
        "{{ conn.get_password() }}",
        "{% raw %}${jndi:ldap://x}",
        "../../etc/passwd",
        "$(rm -rf ~) `id` | sh",
        "<script>alert(1)</script>",
        "=HYPERLINK(A1)",
        "%s %(x)s {0} {reason}",
        "naïve – 延误 – تأخير – ✈️",
    ],
)
@pytest.mark.parametrize("name", ["reason", "requested_by", "issue", "report_id"])
def test_f111_text_that_looks_like_code_is_kept_literally(name, text):
    request = read({name: text})
    assert getattr(request, name) == text
    assert json.loads(json.dumps(request.as_conf()))[name] == text


@pytest.mark.parametrize("model", ["../x", "m; rm", "{{m}}", "M", "", "a" * 64, "m\n"])
def test_f111_names_for_other_systems_are_made_of_a_models_name_alone(model):
    with pytest.raises(BadRequest, match="model is "):
        drift_run_id(model, "2013-06-15")
    with pytest.raises(BadRequest, match="model is "):
        candidate_id(model, LATEST, "run")


def test_f111_a_run_id_of_code_becomes_six_harmless_digits():
    name = candidate_id("flight_delay", LATEST, "'; DROP TABLE x --\ud800")
    assert name.startswith("flight_delay-20130620-")
    assert set(name[-6:]) <= set("0123456789abcdef")


# --- names and windows ------------------------------------------------------------------------------------------------


def test_the_same_decision_gives_the_same_run_and_the_same_run_the_same_candidate():
    run = drift_run_id("flight_delay", "2013-06-15")
    assert run == drift_run_id("flight_delay", "2013-06-15T00:00:00")
    assert candidate_id("flight_delay", LATEST, run) == candidate_id("flight_delay", LATEST, run)
    assert candidate_id("flight_delay", LATEST, run) != candidate_id("flight_delay", LATEST, run + "_2")


def test_a_candidates_day_is_the_utc_day():
    assert candidate_id("m", instant("2013-06-15T22:00:00-04:00"), "r").startswith("m-20130616-")
    with pytest.raises(BadRequest, match="no time zone"):
        candidate_id("m", datetime(2013, 6, 15), "r")  # noqa: DTZ001  the missing time zone is the case


@pytest.mark.parametrize(
    ("as_of", "delay", "end"),
    [
        pytest.param("2013-06-15", timedelta(days=1), "2013-06-14", id="a whole day of delay"),
        pytest.param("2013-06-15T23:59:59Z", timedelta(days=1), "2013-06-14", id="the day of as_of is not over"),
        pytest.param("2013-06-15", timedelta(0), "2013-06-15", id="no delay"),
        pytest.param("2013-06-15", timedelta(minutes=1), "2013-06-14", id="a minute costs the newest day"),
        pytest.param("2013-06-15T01:00:00Z", timedelta(hours=1), "2013-06-15", id="matured just now"),
    ],
)
def test_the_holdout_ends_with_the_last_day_whose_labels_have_all_matured(as_of, delay, end):
    windows = training_windows(instant(as_of), 90, 14, delay)
    assert windows.holdout.end == instant(end)
    assert windows.holdout.end + delay <= instant(as_of)


def test_training_ends_where_the_holdout_begins():
    windows = training_windows(instant("2013-06-15"), 90, 14, timedelta(days=1))
    assert windows.holdout == Interval.between("2013-05-31", "2013-06-14")
    assert windows.train == Interval.between("2013-03-02", "2013-05-31")
    assert windows.whole == Interval.between("2013-03-02", "2013-06-14")
    assert len(windows.train.days) == 90


def test_the_smallest_windows_are_one_day_each():
    windows = training_windows(instant("2013-06-15"), 1, 1, timedelta(0))
    assert (windows.train.days, windows.holdout.days) == (["2013-06-13"], ["2013-06-14"])


def test_a_window_before_the_year_one_or_a_negative_delay_is_refused():
    with pytest.raises(BadRequest, match="before the year 1"):
        training_windows(instant("2013-06-15"), 10**6, 14, timedelta(0))
    with pytest.raises(BadRequest, match="not known before its event"):
        training_windows(instant("2013-06-15"), 90, 14, timedelta(days=-1))
    with pytest.raises(BadRequest, match="before the year 1"):
        training_windows(instant("2013-06-15"), 10**12, 14, timedelta(0))


@pytest.mark.parametrize(
    ("since", "holdout", "held_out"),
    [
        pytest.param(0, 14, 14, id="the change is of the day after the newest"),
        pytest.param(-3, 14, 14, id="its labels have not matured at all"),
        pytest.param(1, 14, 5, id="one day since: five are held out"),
        pytest.param(11, 14, 5, id="the newer half of eleven is five"),
        pytest.param(12, 14, 6, id="of twelve it is six"),
        pytest.param(28, 14, 14, id="of four weeks it is two"),
        pytest.param(60, 14, 14, id="never more than declared"),
        pytest.param(60, 3, 3, id="whatever is declared"),
        pytest.param(2, 3, 3, id="also where few days are left"),
    ],
)
def test_after_a_change_at_most_the_newer_half_of_the_days_since_is_held_out(since, holdout, held_out):
    changed_on = date(2013, 6, 14) - timedelta(days=since)
    windows = training_windows(instant("2013-06-15"), 90, holdout, timedelta(days=1), changed_on)
    assert (len(windows.holdout.days), len(windows.train.days)) == (held_out, 90)
    assert windows.holdout.end == instant("2013-06-14")


def test_two_runs_of_a_model_and_day_have_candidates_of_their_own():
    names = {candidate_id("m", LATEST, f"run-{n}") for n in range(50)}
    assert len(names) == 50
    assert {len(name) for name in names} == {len("m-20130620-") + 6}
