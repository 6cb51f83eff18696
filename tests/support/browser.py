"""A real browser, headless, for what people see: Debian's chromium with its driver, or another Chrome with its own."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from waiting import eventually

PHONE, DESK = (390, 844), (1280, 900)
SERIOUS = ("serious", "critical")


def browser_here() -> tuple[str, str]:
    """The browser and its driver.

    Raises:
        Skipped: with the reason.
    """
    if os.environ.get("CI") or os.environ.get("SLIPWAY_TEST_BROWSER") == "no":
        pytest.skip("no browser in CI")
    pytest.importorskip("selenium", reason="the package selenium is not installed")
    browser = next((p for name in ("chromium", "google-chrome") if (p := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("there is no chromium with its driver; on Debian: apt install chromium chromium-driver")
    return browser, driver


class Browser:
    """One window, and what is looked at in it."""

    def __init__(self, base: str, pictures: Path) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        browser, driver = browser_here()
        options = webdriver.ChromeOptions()
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
            options.add_argument(argument)
        options.binary_location = browser
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(service=Service(driver), options=options)
        self.base, self.pictures = base, pictures

    def close(self) -> None:
        self.driver.quit()

    def open(self, path: str) -> None:
        self.driver.switch_to.default_content()
        self.driver.get(self.base + path)

    def find(self, selector: str) -> Any:
        found = self.all(selector)
        if not found:
            eventually(lambda: self.all(selector))
            found = self.all(selector)
        return found[0]

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements("css selector", selector)

    def heading(self) -> str:
        return str(self.find("h1").text)

    def picture(self, name: str) -> None:
        self.driver.save_screenshot(str(self.pictures / f"{name}.png"))

    def whole_picture(self, name: str, height: int | None = None) -> None:
        """The page from its top to its end, or to ``height`` pixels."""
        import base64

        size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        wide = self.driver.execute_script("return window.innerWidth")
        clip = {"x": 0, "y": 0, "width": wide, "height": min(size["height"], height or 6000), "scale": 1}
        told = {"format": "png", "captureBeyondViewport": True, "clip": clip}
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", told)
        (self.pictures / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))

    def size(self, size: tuple[int, int]) -> None:
        """As wide and as high as a screen of this many pixels; a window cannot be as narrow as a phone."""
        width, height = size
        told = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", told)

    def errors(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def hosts(self) -> set[str]:
        """Every host anything was asked of."""
        messages = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        sent = (m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent")
        return {parts.hostname or "" for parts in map(urlsplit, sent) if parts.scheme in ("http", "https", "ws", "wss")}

    def too_wide(self) -> list[str]:
        """What reaches beyond the right edge, where the page itself has to be moved sideways for it."""
        return list(
            self.driver.execute_script(
                """
                const page = document.documentElement;
                if (page.scrollWidth <= page.clientWidth) return [];
                const own = e => getComputedStyle(e).overflowX !== "visible";
                const framed = e => e.parentElement && (own(e) || framed(e.parentElement));
                return Array.from(document.body.querySelectorAll('*'))
                  .filter(e => e.getBoundingClientRect().right > page.clientWidth && !framed(e))
                  .map(e => e.outerHTML.slice(0, 120));
                """
            )
        )

    def faults(self) -> list[str]:
        """What axe finds that is serious or critical, a line each: the rule, and the first elements that break it."""
        axe = pytest.importorskip("axe_core_python", reason="the package axe-core-python is not installed")
        # The page's own policy allows no script from elsewhere; the driver's is not bound by it.
        self.driver.execute_script((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
        self.driver.set_script_timeout(60)
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run(document, {resultTypes: ['violations']}).then(r => done(r.violations), e => done(String(e)));"
        )
        if isinstance(found, str):
            raise AssertionError(f"axe could not look: {found}")
        return [
            f"{each['id']} ({each['impact']}): {each['help']}: "
            + "; ".join(str(node["html"])[:160] for node in each["nodes"][:3])
            for each in found
            if each["impact"] in SERIOUS
        ]
