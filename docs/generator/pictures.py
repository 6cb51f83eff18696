"""Takes the pictures of docs/images from running services: `python -m docs.generator.pictures` after `make run`.

Needs Debian's chromium and chromium-driver, and services of this home (`SLIPWAY_HOME`) whose demonstration has promoted
a successor. The pages are taken as a signed-in viewer sees them, in the light theme.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from include.config.settings import PROJECT, settings

FOLDER = PROJECT / "docs" / "images"
MAX_BYTES = 200_000
WIDTH = 1280
PAGES = {
    # The picture, the page below /slipway, and how high a piece of it is taken.
    "models.png": ("/", 350),
    "release.png": ("/candidates/{candidate}", 760),
}


def take(url: str, password: str, candidate: str) -> list[Path]:
    """Take every picture; the files."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser = _browser()
    try:
        browser.get(f"{url}/auth/login")
        wait = WebDriverWait(browser, 60)
        wait.until(lambda b: b.find_elements("css selector", "input[name=password]"))
        browser.find_element("css selector", "input[name=username]").send_keys("viewer")
        browser.find_element("css selector", "input[name=password]").send_keys(password)
        browser.find_element("css selector", "button[type=submit]").click()
        wait.until(lambda b: "/auth/login" not in b.current_url)
        return [_picture(browser, wait, url, name, candidate) for name in PAGES]
    finally:
        browser.quit()


def _browser() -> Any:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    # Both are named, for Selenium asks other hosts for what it is not given.
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        raise FileNotFoundError("There is no chromium with its driver; on Debian: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.binary_location = browser
    return webdriver.Chrome(options=options, service=Service(driver))


def _picture(browser: Any, wait: Any, url: str, name: str, candidate: str) -> Path:
    path, height = PAGES[name]
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "light"}]}
    )
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )
    browser.get(f"{url}/slipway{path.format(candidate=candidate)}")
    wait.until(lambda b: b.find_elements("css selector", "h1"))
    file = FOLDER / name
    browser.save_screenshot(str(file))
    if file.stat().st_size > MAX_BYTES:
        raise ValueError(f"{file} has {file.stat().st_size} bytes; at most {MAX_BYTES} are kept.")
    return file


if __name__ == "__main__":
    home = settings().home
    services = json.loads((home / "services.json").read_text(encoding="utf-8"))
    passwords = json.loads((home / "keys" / "passwords.json").read_text(encoding="utf-8"))
    print(*take(services["airflow_url"], passwords["viewer"], sys.argv[1]), sep="\n")
