"""A headless Chromium for tests, driven through its debugging pipe: requests on descriptor 3, answers on 4, JSON that ends in NUL."""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_S = 60


def find_browser():
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Browser:
    """One page. complaints: what its console and its log said, and what could not be fetched. requests: the URLs it asked for."""

    def __init__(self, profile):
        down, up = os.pipe(), os.pipe()

        def descriptors():  # dup2 makes them inheritable
            read, write = os.dup(down[0]), os.dup(up[1])
            os.dup2(read, 3)
            os.dup2(write, 4)

        self.process = subprocess.Popen(
            [find_browser(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
             "--disable-background-networking", f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"],
            close_fds=False, preexec_fn=descriptors, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(down[0])
        os.close(up[1])
        self.write, self.read = down[1], up[0]
        self.buffer, self.count, self.session = b"", 0, None
        self.complaints, self.requests, self.events = [], [], []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def message(self, deadline):
        while b"\0" not in self.buffer:
            ready = select.select([self.read], [], [], max(0, deadline - time.monotonic()))[0]
            more = os.read(self.read, 1 << 20) if ready else b""
            if not more:
                raise RuntimeError("the browser does not answer" if not ready else "the browser has ended")
            self.buffer += more
        text, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(text)

    def ask(self, method, **parameters):
        """Sends a request of the DevTools protocol and returns its result; what else arrives meanwhile is noted."""
        self.count += 1
        request = {"id": self.count, "method": method, "params": parameters, **({"sessionId": self.session} if self.session else {})}
        os.write(self.write, json.dumps(request).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            message = self.message(deadline)
            if message.get("id") == self.count:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.note(message)

    def note(self, message):
        name, parameters = message.get("method"), message.get("params", {})
        self.events.append(name)
        if name == "Runtime.consoleAPICalled":
            self.complaints.append(" ".join(str(one.get("value")) for one in parameters["args"]))
        elif name == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters["exceptionDetails"]))
        elif name == "Log.entryAdded":
            self.complaints.append(parameters["entry"]["text"])
        elif name == "Network.loadingFailed":
            self.complaints.append(parameters["errorText"])
        elif name == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])

    def open(self, url, width, height=900, dark=False):
        """Loads a page at a width in CSS pixels, as a phone would where it is narrow, and waits until it is whole."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.events.clear()
        self.ask("Page.navigate", url=url)
        deadline = time.monotonic() + PATIENCE_S
        while "Page.loadEventFired" not in self.events:
            self.note(self.message(deadline))

    def value(self, expression):
        """What JavaScript makes of an expression, a promise awaited."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def screenshot(self, path, **clip):
        """A PNG of a part of the page (x, y, width, height), or of what is on the screen."""
        extra = {"clip": {**clip, "scale": 1}, "captureBeyondViewport": True} if clip else {}
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", format="png", **extra)["data"]))

    def close(self):
        with contextlib.suppress(RuntimeError, OSError):
            self.ask("Browser.close")
        os.close(self.write)
        self.process.wait(PATIENCE_S)
        os.close(self.read)


WIDTH = "document.documentElement.scrollWidth"
# Whether each picture, in the page or in a drawing, can be shown.
PICTURES = """Promise.all([...document.querySelectorAll("img, image")].map(one => {
  const picture = new Image();
  picture.src = one.src || one.href.baseVal;
  return picture.decode().then(() => picture.naturalWidth > 0, () => false);
}))"""


def check_page(browser, path, width):
    """Asserts that a page says nothing on the console, fetches nothing but itself, shows every picture and is not wider than the screen."""
    path = path.resolve()
    browser.complaints.clear()
    browser.requests.clear()
    browser.open(path.as_uri(), width)
    browser.value("document.querySelectorAll('details').forEach(one => { one.open = true })")
    pictures = browser.value(PICTURES)
    assert all(pictures), f"{pictures.count(False)} of {len(pictures)} pictures cannot be shown"
    assert not browser.complaints, browser.complaints
    assert [url for url in browser.requests if not url.startswith("data:")] == [path.as_uri()]
    assert browser.value(WIDTH) <= width
    return len(pictures)
