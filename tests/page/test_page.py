"""The page of the local hub's admin port, in a real browser. HUB_* variables say where the hub is; tests/page/run sets them."""

import base64
import hashlib
import hmac
import json
import os
import ssl
import time
import unittest
import urllib.parse
import urllib.request

from webdriver import DIRECT, Browser

URL = os.environ["HUB_ADMIN_URL"]
CONTROL, ARROW_DOWN, ENTER = "\ue009", "\ue015", "\ue007"
# Every character that an id may hold, quotes among them; keys and values may hold anything.
HOSTILE_ID = "x-:.+%_#*?!(),=@;$'"
HOSTILE = "<img src=x onerror=\"window.broken=1\"><script>window.broken=1</script>'\"&lt;"


def service(method, path, body=None):
    """One call of the service API, as a back end."""
    key = os.environ["HUB_SERVICE_CONNECTION_STRING"].split("SharedAccessKey=")[1]
    expiry = int(time.time()) + 600
    signature = hmac.new(base64.b64decode(key), f"localhost\n{expiry}".encode(), hashlib.sha256).digest()
    token = f"SharedAccessSignature sr=localhost&sig={urllib.parse.quote(base64.b64encode(signature), safe='')}&se={expiry}&skn=iothubowner"
    request = urllib.request.Request(
        f"https://localhost:{os.environ['HUB_HTTPS_PORT']}{path}?api-version=2021-04-12",
        None if body is None else json.dumps(body).encode(),
        {"authorization": token, "content-type": "application/json"},
        method=method,
    )
    trust = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=os.environ["HUB_CA_FILE"]))
    with urllib.request.build_opener(urllib.request.ProxyHandler({}), trust).open(request, timeout=20) as answer:
        text = answer.read()
        return json.loads(text) if text else None


def make(device, **twin):
    name = urllib.parse.quote(device, safe="")
    service("PUT", f"/devices/{name}", {"deviceId": device})
    if twin:
        service("PATCH", f"/twins/{name}", twin)


class Page(unittest.TestCase):
    def browser(self, **size):
        browser = Browser(**size)
        self.addCleanup(browser.close)
        return browser

    def open(self, view="#/twins", **size):
        browser = self.browser(**size)
        browser.open(f"{URL}/{view}")
        browser.wait_text("#live", "live")
        return browser

    def test_0_an_empty_hub_says_what_to_do(self):
        browser = self.open()
        browser.wait_text("#detail", "No devices yet")
        self.assertIn("hubtwin twin create", browser.text("#detail"))
        browser.open(f"{URL}/#/activity")
        browser.wait_text("#activity", "Nothing has happened yet")
        # What happens then is there by itself.
        make("first-1")
        browser.wait_text("#log", "first-1")
        browser.open(f"{URL}/#/twins")
        browser.wait_text("#list", "first-1")
        self.assertEqual(browser.complaints(), [])

    def test_a_twin_is_shown_with_its_metadata_and_changes_as_they_happen(self):
        make("meta-1", tags={"site": "lyon-2"}, properties={"desired": {"pump": {"speed": 7, "mode": "eco"}}})
        browser = self.open("#/twin/meta-1")
        browser.wait_text("#detail h1", "meta-1")
        rows = browser.run("""return [...document.querySelectorAll('[aria-label="Desired properties"] tbody tr')]
            .map((row) => [...row.children].map((cell) => cell.innerText))""")
        self.assertEqual([row[:3] for row in rows], [["pump", "", ""], ["mode", '"eco"', "not reported"], ["speed", "7", "not reported"]])
        self.assertEqual([row[4] for row in rows], ["2", "2", "2"])
        times = browser.run("return [...document.querySelectorAll('#detail td time')].map((time) => time.dateTime)")
        self.assertEqual(len(times), 3)
        service("PATCH", "/twins/meta-1", {"properties": {"desired": {"pump": {"speed": 8}}}})
        browser.wait("the new value", lambda: browser.run("""return [...document.querySelectorAll('#detail tr.fresh')]
            .some((row) => row.innerText.startsWith('speed') && row.innerText.includes('8') && row.innerText.trim().endsWith('3'))"""))
        self.assertIn('"eco"', browser.text("#detail"))
        self.assertIn("lyon-2", browser.text('[aria-label="Tags"]'))
        service("DELETE", "/devices/meta-1")
        browser.wait_text("#detail", "holds no twin of meta-1")

    def test_hostile_ids_and_values_are_only_text(self):
        make(HOSTILE_ID, tags={"<b>key</b>".replace(".", ""): HOSTILE}, properties={"desired": {"__proto__": {"a": 1}, "onload": HOSTILE}})
        browser = self.open()
        browser.wait_text("#list", HOSTILE_ID)
        browser.run("[...document.querySelectorAll('#list a')].find((link) => link.dataset.device === arguments[0]).click()", HOSTILE_ID)
        browser.wait_text("#detail h1", HOSTILE_ID)
        browser.wait_text("#detail", "<b>key</b>")
        browser.open(f"{URL}/#/query")
        browser.run("document.getElementById('text').value = 'SELECT * FROM devices'")
        browser.click("#run")
        browser.wait_text("#results", "window.broken")
        browser.run("document.getElementById('text').value = 'SELECT ' + arguments[0]", HOSTILE)
        browser.click("#run")
        browser.wait_text("#told", "window.broken")
        browser.open(f"{URL}/#/activity")
        browser.wait_text("#log", HOSTILE_ID)
        self.assertIsNone(browser.run("return window.broken ?? null"))
        self.assertEqual(browser.run("return document.querySelectorAll('#main img, #main script, #main b').length"), 0)
        refused = [told for told in browser.complaints() if "400" not in told]
        self.assertEqual(refused, [])

    def test_queries_are_paged_and_mistakes_are_marked_where_they_are(self):
        for number in range(60):
            make(f"many-{number:02}")
        browser = self.open("#/query")
        browser.run("document.getElementById('text').value = \"SELECT deviceId FROM devices\\nWHERE STARTSWITH(deviceId, 'many-')\"")
        browser.run("document.getElementById('text').focus()")
        browser.press(CONTROL, ENTER)
        browser.wait_text("#results h2", "50+ rows")
        browser.click("#next")
        browser.wait_text("#results h2", "60 rows")
        self.assertEqual(browser.run("return document.querySelectorAll('#next').length"), 0)
        browser.run("scrollTo(0, 0)")
        browser.run("document.getElementById('text').value = 'SELECT *\\nFROM devices\\nWHERE tags.a == 1'")
        browser.click("#run")
        browser.wait_text("#told", "line 3, column 15")
        self.assertEqual(browser.text("#told pre").split("\n")[1], " " * 14 + "^")
        self.assertEqual(browser.run("const t = document.activeElement; return t.value.slice(t.selectionStart, t.selectionEnd) + t.selectionStart"), "=36")
        browser.run("document.getElementById('text').value = \"SELECT * FROM devices WHERE tags.a = 'nobody'\"")
        browser.click("#run")
        browser.wait_text("#results", "No rows")

    def test_the_keyboard_is_enough(self):
        make("keys-1")
        make("keys-2")
        browser = self.open()
        browser.wait_text("#list", "keys-2")
        browser.press("/")
        browser.wait("the focus", lambda: browser.run("return document.activeElement.id") == "find")
        browser.type("#find", "keys-")
        browser.wait("two rows", lambda: browser.run("return document.querySelectorAll('#list a').length") == 2)
        browser.press(ARROW_DOWN)
        browser.press(ARROW_DOWN)
        browser.press(ENTER)
        browser.wait_text("#detail h1", "keys-2")

    def test_light_dark_and_phone(self):
        make("look-1", properties={"desired": {"a": {"long": "x" * 200}}})
        ground = {}
        for name, size in [("light", {}), ("dark", {"dark": True}), ("phone", {"width": 390, "height": 800})]:
            browser = self.open("#/twin/look-1", **size)
            browser.wait_text("#detail", "xxx")
            ground[name] = browser.run("return getComputedStyle(document.body).backgroundColor")
            wide = browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
            self.assertEqual(wide, 0, f"{name} scrolls sideways")
        self.assertNotEqual(ground["light"], ground["dark"])
        browser.click(".back")
        browser.wait_text("#list", "look-1")

    def test_the_page_tells_when_the_hub_is_another_one(self):
        request = urllib.request.Request(f"{URL}/", headers={"host": "rebound.example"})
        with self.assertRaises(urllib.error.HTTPError) as refused:
            DIRECT.open(request, timeout=20)
        self.assertEqual(refused.exception.code, 403)
        refused.exception.close()


if __name__ == "__main__":
    unittest.main()
