"""A headless Chromium with a page of `clattn draw` in it, and what it said and asked for meanwhile."""

import json
import os
import shutil
import sys

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait
except ImportError as error:
    sys.exit(f"{error}: install python3-selenium, as tools/install_dependencies test does")

PATIENCE = 60  # seconds: for what a busy machine may take


def program(*names):
    for name in names:
        if shutil.which(name):
            return shutil.which(name)
    sys.exit(f"none of {', '.join(names)} is here: install chromium and chromium-driver, as tools/install_dependencies "
             "test does")


class Browser:
    def __init__(self, folder):
        options = Options()
        options.binary_location = program("chromium", "chromium-browser", "google-chrome")
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                         "--window-size=1400,1000", "--force-device-scale-factor=1", "--disable-background-networking",
                         "--disable-component-update", f"--user-data-dir={os.path.join(folder, 'profile')}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(program("chromedriver")))
        self.driver.set_script_timeout(PATIENCE)
        self.folder = folder
        self.url = None
        self.driver.get("about:blank")
        self.driver.get_log("performance")  # what the browser's own first page asked for

    def open(self, path):
        self.url = "file://" + os.path.abspath(path)
        self.driver.get(self.url)
        self.wait_for("return typeof page === 'object' && Boolean(page.state) && document.readyState === 'complete'")
        self.frame()

    def quit(self):
        self.driver.quit()

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def frame(self):
        """Until what was set is drawn."""
        self.driver.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()))")

    def wait_for(self, script, *arguments):
        return WebDriverWait(self.driver, PATIENCE, 0.05).until(lambda d: d.execute_script(script, *arguments),
                                                                f"never true: {script}")

    def find(self, css):
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def click(self, css):
        self.find(css).click()
        self.frame()

    def press(self, *keys):
        """Keys to whatever has the focus."""
        for key in keys:
            ActionChains(self.driver).send_keys(getattr(Keys, key, key)).perform()
            self.frame()

    def point(self, place, click=False):
        """The pointer to a place of the picture, in CSS pixels from its corner."""
        box = self.run("const r = document.getElementById('picture').getBoundingClientRect(); return [r.left, r.top]")
        actions = ActionChains(self.driver)
        actions.w3c_actions.pointer_action.move_to_location(round(box[0] + place["x"]), round(box[1] + place["y"]))
        if click:
            actions.w3c_actions.pointer_action.click()
        actions.perform()
        self.frame()

    def drag(self, place, dx, dy):
        box = self.run("const r = document.getElementById('picture').getBoundingClientRect(); return [r.left, r.top]")
        x, y = round(box[0] + place["x"]), round(box[1] + place["y"])
        actions = ActionChains(self.driver)
        pointer = actions.w3c_actions.pointer_action
        pointer.move_to_location(x, y)
        pointer.pointer_down()
        for part in (1, 2, 3, 4):
            pointer.move_to_location(x + dx * part // 4, y + dy * part // 4)
        pointer.pointer_up()
        actions.perform()
        self.frame()

    def screenshot(self, name):
        self.driver.save_screenshot(os.path.join(self.folder, name + ".png"))

    def colours(self, scheme):
        """What the system would prefer: "light" or "dark"."""
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia",
                                    {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        self.frame()

    def complaints(self):
        """Lines of the console, of whatever level."""
        return [f"{line['level']}: {line['message']}" for line in self.driver.get_log("browser")]

    def requests(self):
        """Addresses that were asked for, but the page's own and what it made itself (blob:)."""
        asked = set()
        for line in self.driver.get_log("performance"):
            message = json.loads(line["message"])["message"]
            if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
                parameters = message["params"]
                asked.add(parameters.get("request", parameters)["url"])
        return sorted(url for url in asked if url != self.url and not url.startswith("blob:null/"))
