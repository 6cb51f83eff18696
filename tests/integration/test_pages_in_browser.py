"""Every page in each of its states, in a real browser: light, dark and on a phone, and without a serious fault for a
person who cannot see it or uses no mouse.

Pictures are kept in the test's folder, or where ``SLIPWAY_TEST_SCREENSHOTS`` says.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from browser import DESK, PHONE, Browser, browser_here
from pages_world import PagesWorld, pages_in
from shown_pages import filled
from waiting import eventually

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.browser]
PAGES = (
    "models",
    "model",
    "model-in-band",
    "failed",
    "data",
    "waiting",
    "promoted",
    "rolled-back",
    "drift",
    "incident",
    "features",
    "view-late",
    "view",
    "rest",
    "data-docs",
    "runbook",
    "missing",
)


@dataclass
class Shown:
    """The pages on a port of this machine, and a browser in front of them."""

    world: PagesWorld
    browser: Browser
    paths: dict[str, str]

    def look(self, name: str, theme: str = "light") -> Browser:
        """Open a page by what it shows."""
        self.browser.open(f"/slipway{self.paths[name]}")
        self.browser.driver.execute_script("localStorage.setItem('theme', arguments[0])", theme)
        self.browser.driver.refresh()
        self.browser.find("h1")
        return self.browser


@pytest.fixture(scope="module")
def shown(airflow_imported, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    import uvicorn

    browser_here()
    home = tmp_path_factory.mktemp("shown")
    chosen = os.environ.get("SLIPWAY_TEST_SCREENSHOTS")
    pictures = Path(chosen) if chosen else home
    pictures.mkdir(parents=True, exist_ok=True)
    with pages_in(airflow_imported, home) as world, socket.create_server(("127.0.0.1", 0)) as listening:
        paths = filled(world.ledger)
        server = uvicorn.Server(uvicorn.Config(world.client.app, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        browser = Browser(f"http://127.0.0.1:{listening.getsockname()[1]}", pictures)
        try:
            eventually(lambda: server.started)
            browser.open("/slipway/")
            browser.driver.add_cookie({"name": "_token", "value": world.token("otto"), "path": "/"})
            browser.errors()  # the first page was asked for without the cookie
            yield Shown(world, browser, paths)
        finally:
            browser.close()
            server.should_exit = True
            thread.join(30)


def test_every_page_is_one_of_those_that_are_looked_at(shown):
    assert tuple(shown.paths) == PAGES


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_serious_fault(shown, name, theme):
    browser = shown.look(name, theme)
    browser.size(DESK)
    browser.whole_picture(f"{name}-{theme}")
    for closed in browser.all("details:not([open])"):
        browser.driver.execute_script("arguments[0].open = true", closed)
    assert browser.faults() == []
    assert [said for said in browser.errors() if name != "missing"] == []


@pytest.mark.parametrize("name", PAGES)
def test_on_a_phone_no_page_has_to_be_moved_sideways(shown, name):
    shown.browser.size(PHONE)
    browser = shown.look(name)
    browser.whole_picture(f"{name}-phone")
    assert browser.too_wide() == []


def test_a_day_of_the_picture_says_its_numbers_under_the_keyboard_and_leads_to_its_report(shown):
    from selenium.webdriver import Keys

    shown.browser.size(DESK)
    browser = shown.look("model")
    days = browser.all("svg.wide a.day")
    tabbed = [day for day in days if day.get_attribute("tabindex") != "-1"]
    assert (len(days), len(tabbed)) == (75, 1), "one stop of the Tab key, not seventy-five"
    browser.driver.execute_script("arguments[0].focus()", tabbed[0])
    assert browser.find(".readout").text.startswith("2013-06-14: brier 0.2")
    tabbed[0].send_keys(Keys.ARROW_LEFT)
    assert browser.find(".readout").text.startswith("2013-06-13: brier 0.2")
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    eventually(lambda: "/drift/" in browser.driver.current_url)
    assert "on 2013-06-13" in browser.heading()


def test_a_range_is_chosen_by_a_click_and_by_its_days(shown):
    browser = shown.look("model")
    browser.find("form.narrow a").click()
    eventually(lambda: len(browser.all("svg.wide a.day")) == 30)
    assert "from=2013-05-16" in browser.driver.current_url
    browser.open(f"/slipway{shown.paths['model']}?from=2013-04-10&to=2013-04-12")
    assert len(browser.all("svg.wide a.day")) == 3


def test_the_pages_ask_no_host_but_this_one(shown):
    shown.browser.hosts()
    for name in PAGES:
        shown.look(name)
    assert shown.browser.hosts() == {"127.0.0.1"}
