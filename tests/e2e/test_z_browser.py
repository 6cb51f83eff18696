"""The person on call, in a real browser: from a red run to a promoted candidate without leaving Airflow.

Runs last, for it goes on a day further. Needs Debian's chromium and chromium-driver (or another Chrome with its driver)
and the package selenium; without them, and in CI, it is skipped. Screenshots are kept in the test's folder, or where
``SLIPWAY_TEST_SCREENSHOTS`` says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from browser import Browser, browser_here
from invariants import check_invariants
from waiting import PATIENCE_S, eventually

from include.config import loader

pytestmark = [pytest.mark.e2e, pytest.mark.browser]
DAG, MODEL, RUN = "retrain_air_time", "air_time", "api__browser"
REASON = "The bound is a typing error; thirty minutes were meant"


class Person(Browser):
    """One signed-in person and their browser."""

    def __init__(self, stage, name: str, artifacts: Path) -> None:
        super().__init__(stage.services.airflow_url, artifacts)
        self.name = name
        self.open("/auth/login")
        self.find("input[name=username]").send_keys(name)
        self.find("input[name=password]").send_keys(stage.services.passwords[name])
        self.find("button[type=submit]").click()
        eventually(lambda: "/auth/login" not in self.driver.current_url)
        self.driver.get_log("browser")  # what Airflow's own login page says is not ours

    def release_tab(self) -> None:
        """The tab on the run's page, whose page is in a frame."""
        self.open(f"/dags/{DAG}/runs/{RUN}/plugin/slipway-release")
        self.driver.switch_to.frame(self.find("iframe"))
        self.find("h1")

    def do(self, action: str, **fields: str) -> None:
        """Open an action, read what it will do, fill its form, and send it."""
        self.send(action, **fields)
        eventually(lambda: f"done={action}" in self.driver.execute_script("return location.href"), PATIENCE_S)
        assert self.find(".notice").text

    def send(self, action: str, **fields: str) -> None:
        if not self.all(f"details[data-action={action}][open]"):
            self.find(f"details[data-action={action}] > summary").click()
        form = self.find(f"details[data-action={action}] form")
        assert form.find_element("css selector", "p").text
        for name, value in fields.items():
            field = form.find_element("name", name)
            field.clear()
            field.send_keys(value)
        self.picture(f"{action}")
        form.find_element("css selector", "button").click()

    def picture(self, name: str) -> None:
        super().picture(f"{self.name}-{name}")


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chosen = os.environ.get("SLIPWAY_TEST_SCREENSHOTS")
    folder = Path(chosen) if chosen else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def somebody(artifacts) -> Iterator:
    """Signs people in, and closes their browsers."""
    browser_here()
    people: list[Person] = []

    def sign_in(stage, name: str) -> Person:
        people.append(Person(stage, name, artifacts))
        return people[-1]

    yield sign_in
    for person in people:
        person.close()


@pytest.fixture(scope="module")
def next_day(stage) -> str:
    """The first day that is not published yet, a day after what the champion learned from: the same rows would only
    make its twin, which no champion gate lets pass."""

    def first_missing() -> str:
        with stage.ledger() as ledger:
            newest = max(ledger.overview.newest_days().values())
        return str(date.fromisoformat(newest) + timedelta(days=1))

    stage.replay.replay_day(first_missing())
    return first_missing()


@pytest.fixture(scope="module")
def stopped(somebody, stage, next_day) -> Iterator[str]:
    """A journey that a bound nobody can reach has stopped; the id of its candidate."""
    file = loader.ROOT / "models" / MODEL / "model.yaml"
    before = file.read_text()
    file.write_text(before.replace("at_most: 30.0", "at_most: 0.001"))
    assert stage.run(DAG, RUN, {"as_of": next_day, "reason": "A browser looks at it"}, 600) == "failed"
    with stage.ledger() as ledger:
        yield ledger.candidates.of_run(MODEL, RUN).candidate_id
    file.write_text(before)


def test_f136_a_viewer_reads_what_failed_and_finds_no_button(somebody, stage, stopped):
    viewer = somebody(stage, "viewer")
    viewer.release_tab()
    assert viewer.heading() == "Stopped at threshold gate: FAIL"
    assert viewer.all("form") == []
    viewer.picture("reads")
    assert viewer.errors() == []


def test_f059_the_person_on_call_overrides_and_clears_and_the_ledger_promotes(somebody, stage, stopped, next_day):
    operator = somebody(stage, "operator")
    operator.release_tab()
    assert operator.heading() == "Stopped at threshold gate: FAIL"
    row = operator.find("#threshold_gate table tbody tr")
    assert row.text.startswith("mae ")
    assert "<= 0.001" in row.text
    assert "FAIL" in row.text
    operator.picture("stopped")

    operator.send("override", reason=REASON, expires="soon")
    eventually(lambda: operator.all(".wrong"))
    assert operator.find(".wrong").text.startswith("expires is 'soon'; give a duration (2d, 12h)")
    assert operator.find("textarea[name=reason]").get_property("value") == REASON
    operator.picture("refused")
    operator.errors()  # the browser says that the answer was 422

    operator.do("override", reason=REASON, expires="2d")
    assert operator.heading() == "Overridden, not yet judged again"
    operator.do("clear")
    eventually(lambda: stage.task_states(DAG, RUN)["shadow_window"] == "deferred", 600)
    stage.replay.replay_day(next_day)
    assert stage.api.wait(DAG, RUN, 300).state == "success"

    operator.release_tab()
    assert operator.heading() == "Promoted"
    operator.picture("promoted")
    with stage.ledger() as ledger:
        head = ledger.deployments.champion(MODEL)
    assert head.to_candidate == stopped
    assert head.cleared_by["overridden"]["threshold_gate"]["who"] == "operator"
    assert head.cleared_by["overridden"]["threshold_gate"]["why"] == REASON
    assert operator.errors() == []
    check_invariants(stage)


def test_a_model_is_rolled_back_with_the_keyboard_alone(somebody, stage, stopped):
    from selenium.webdriver import Keys

    with stage.ledger() as ledger:
        before = ledger.deployments.champion(MODEL)
    operator = somebody(stage, "operator")
    operator.open(f"/slipway/models/{MODEL}")
    operator.find("h1")
    pressed = operator.driver.switch_to.active_element
    pressed.send_keys(Keys.TAB)
    assert operator.driver.switch_to.active_element.text == "Skip to the content"

    def focus(wanted) -> None:
        for _ in range(40):
            operator.driver.switch_to.active_element.send_keys(Keys.TAB)
            if wanted(operator.driver.switch_to.active_element):
                return
        raise AssertionError("the keyboard does not get there")

    focus(lambda e: e.tag_name == "summary" and e.text.startswith("Roll back"))
    operator.driver.switch_to.active_element.send_keys(Keys.ENTER)
    focus(lambda e: e.get_attribute("name") == "reason")
    operator.driver.switch_to.active_element.send_keys(REASON)
    operator.picture("rollback")
    focus(lambda e: e.tag_name == "button")
    operator.driver.switch_to.active_element.send_keys(Keys.ENTER)
    eventually(lambda: operator.all(".notice"))

    def head():
        with stage.ledger() as ledger:
            return ledger.deployments.champion(MODEL)

    eventually(lambda: head().revision == before.revision + 1)
    assert (head().kind.value, head().actor, head().reason) == ("rollback", "operator", REASON)
    assert operator.errors() == []
    check_invariants(stage)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_page_is_as_light_or_dark_as_airflow(somebody, stage, stopped, theme):
    viewer = somebody(stage, "viewer")
    viewer.driver.execute_script("localStorage.setItem('theme', arguments[0])", theme)
    viewer.release_tab()
    viewer.picture(f"release-{theme}")
    colour = viewer.driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert colour == {"light": "rgb(255, 255, 255)", "dark": "rgb(17, 19, 23)"}[theme]


def test_f128_the_pages_ask_no_host_but_this_one(somebody, stage, stopped):
    admin = somebody(stage, "admin")
    for path in ("/slipway/", f"/slipway/models/{MODEL}", f"/slipway/candidates/{stopped}", "/slipway/api"):
        admin.open(path)
        admin.find("h1")
        admin.picture(path.strip("/").replace("/", "-"))
    admin.release_tab()
    assert admin.hosts() == {"127.0.0.1"}
    assert admin.errors() == []
