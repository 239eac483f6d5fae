"""A real headless browser, driven over WebDriver with nothing but Python's own library."""

import base64
import json
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

# As root there is no sandbox; the rest keeps the browser from asking anybody anything.
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--disable-extensions", "--no-default-browser-check",
]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
DEADLINE = 20
# The driver is on loopback; a proxy could only be in the way.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Failed(Exception):
    """What the driver or the page answered instead of what was asked for."""


class Browser:
    """One browser with a profile of its own. `close` ends it, and what it started."""

    def __init__(self, width=1280, height=900, dark=False):
        self.profile = tempfile.TemporaryDirectory(prefix="hubtwin-page.", ignore_cleanup_errors=True)
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.session = None
        try:
            self.base = f"http://127.0.0.1:{self._port()}"
            flags = FLAGS + [f"--user-data-dir={self.profile.name}", f"--window-size={width},{height}"]
            options = {"goog:chromeOptions": {"args": flags}, "goog:loggingPrefs": {"browser": "ALL"}}
            self.session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": options}})["sessionId"]
            metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
            self.command("Emulation.setDeviceMetricsOverride", metrics)
            scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
            self.command("Emulation.setEmulatedMedia", {"features": [scheme]})
        except BaseException:
            self.close()
            raise

    def _port(self):
        for line in self.driver.stdout:
            if "started successfully on port " in line:
                return int(line.rsplit("on port ", 1)[1].rstrip(".\n"))
        raise Failed("chromedriver ended at once")

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"content-type": "application/json"}, method=method)
        try:
            with DIRECT.open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise Failed(error.read().decode()[:600]) from None

    def _in_session(self, method, path, body=None):
        return self._call(method, f"/session/{self.session}{path}", body)

    def command(self, name, parameters):
        """A command of the browser's own protocol."""
        return self._in_session("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def open(self, url):
        self._in_session("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        """Runs a script in the page and answers what it returns."""
        return self._in_session("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, css):
        return self._in_session("POST", "/element", {"using": "css selector", "value": css})[ELEMENT]

    def click(self, css):
        self._in_session("POST", f"/element/{self.find(css)}/click", {})

    def type(self, css, text):
        self._in_session("POST", f"/element/{self.find(css)}/value", {"text": text})

    def press(self, *keys):
        """Presses keys together, wherever the focus is."""
        actions = [{"type": "keyDown", "value": key} for key in keys] + [{"type": "keyUp", "value": key} for key in reversed(keys)]
        self._in_session("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def text(self, css):
        """The text that is to be seen; empty where there is nothing."""
        return self.run("return [...document.querySelectorAll(arguments[0])].map((found) => found.innerText).join('\\n')", css)

    def wait(self, what, condition):
        """Waits until `condition()` holds, and says what was last seen otherwise."""
        end = time.monotonic() + DEADLINE
        while True:
            if seen := condition():
                return seen
            if time.monotonic() > end:
                raise Failed(f"{what}: not within {DEADLINE} s; the page shows: {self.text('body')[:800]}")
            time.sleep(0.05)

    def wait_text(self, css, wanted):
        return self.wait(f"{wanted!r} in {css}", lambda: wanted in self.text(css))

    def complaints(self):
        """What the browser's console holds: errors of scripts, breaches of the page's policy, files that were not had."""
        return [entry["message"] for entry in self._in_session("POST", "/se/log", {"type": "browser"}) if entry["level"] == "SEVERE"]

    def picture(self, path):
        shot = self.command("Page.captureScreenshot", {"format": "png"})
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))

    def close(self):
        if self.session:
            try:
                self._in_session("DELETE", "")
            except (Failed, OSError):
                pass
        self.driver.terminate()
        try:
            self.driver.wait(10)
        except subprocess.TimeoutExpired:
            self.driver.kill()
            self.driver.wait()
        self.driver.stdout.close()
        self.profile.cleanup()
