"""The page in a real browser: Chromium, driven by Selenium."""

import json
import pathlib
import shutil
import time

import pytest

from tests.notes.sequences import make_sequence
from tests.studio.test_app import four_parts
from tfmusic.notes.reading import read_file
from tfmusic.notes.writing import write_midi
from tfmusic.studio.app import Studio
from tfmusic.studio.embedded import to_html
from tfmusic.studio.shelf import Shelf

webdriver = pytest.importorskip("selenium.webdriver", reason="pip install selenium")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="apt-get install chromium chromium-driver"
)
LIMIT_SECONDS = 60


@pytest.fixture(scope="module")
def address(serve, shelf):
    return serve(Studio(shelf))


def start(folder):
    """Returns a browser that no page has been in; it saves downloads to `folder`."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--window-size=1280,1000",
        "--autoplay-policy=no-user-gesture-required",
    ):
        options.add_argument(argument)
    options.add_experimental_option(
        "prefs", {"download.default_directory": str(folder)}
    )
    logs = {"performance": "ALL", "browser": "ALL"}
    options.set_capability("goog:loggingPrefs", logs)
    service = webdriver.ChromeService(DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    driver.downloads = folder
    return driver


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    driver = start(tmp_path_factory.mktemp("downloads"))
    yield driver
    driver.quit()


@pytest.fixture
def new_driver(tmp_path):
    driver = start(tmp_path)
    yield driver
    driver.quit()


class Page:
    """The page as a user handles it."""

    def __init__(self, driver, address, ready="body[data-ready]"):
        self.driver = driver
        driver.get_log("performance")
        driver.get_log("browser")
        driver.get(address)
        # A page that still takes its pieces up would write them down again.
        self.wait(lambda: self.all(ready))
        driver.execute_script("sessionStorage.clear()")
        driver.get("about:blank")
        driver.get(address)
        self.wait(lambda: self.all(ready))

    def all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def one(self, selector):
        return self.driver.find_element("css selector", selector)

    def run(self, script, *arguments):
        return self.driver.execute_script(f"return {script}", *arguments)

    def wait(self, condition):
        limit = time.monotonic() + LIMIT_SECONDS
        while not (found := condition()):
            assert time.monotonic() < limit, self.one("#error-text").text or "too long"
            time.sleep(0.05)
        return found

    def fill(self, selector, value):
        field = self.one(selector)
        field.clear()
        field.send_keys(str(value))

    def press(self, label, card=0):
        buttons = self.all(".card")[card].find_elements("css selector", "button")
        (button,) = [b for b in buttons if b.text == label]
        button.click()

    def choose(self, model):
        self.one(f"input[name=model][value={model}]").click()

    def cards(self, number):
        """Waits until there are so many pieces; gives what the page knows of them."""
        self.wait(lambda: len(self.all(".card")) == number)
        return self.run("studio.cards.map((card) => card.piece)")

    def notes_drawn(self, card=0):
        """How many pixels of a roll have the colour of a voice."""
        return self.run(
            """(() => {
                const roll = studio.cards[arguments[0]].roll;
                roll.draw();
                const { width, height } = roll.canvas;
                const pen = roll.canvas.getContext("2d");
                const data = pen.getImageData(70, 45, width - 80, height - 50).data;
                let count = 0;
                for (let i = 0; i < data.length; i += 4) {
                    count += data[i] - data[i + 2] > 70;
                }
                return count;
            })()""",
            card,
        )

    def loudest(self, seconds):
        """The loudest of what is heard in a while."""
        limit = time.monotonic() + seconds
        found = 0.0
        while time.monotonic() < limit:
            found = max(found, self.run("studio.player.level"))
        return found

    def hosts(self):
        """Where requests went to since the page was opened."""
        urls = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                urls.append(message["params"]["request"]["url"])
        return {url.split("/")[2] for url in urls if url.startswith(("http", "ws"))}

    def complaints(self):
        return [entry["message"] for entry in self.driver.get_log("browser")]


def test_music_is_made_drawn_and_heard_and_nothing_leaves_the_machine(driver, address):
    page = Page(driver, address)
    page.fill("#length", 4)
    page.fill("#num_outputs", 1)
    page.one("#generate").click()
    (piece,) = page.cards(1)
    assert len(piece["notes"]) > 8
    assert page.notes_drawn() > 100
    page.one("#play").click()
    assert page.loudest(1.5) > 0.005
    assert page.run("studio.player.position") > 0.3
    page.one("#stop").click()
    assert page.run("studio.player.position") == 0
    assert page.hosts() == {address.split("/")[2]}
    assert page.complaints() == []


@pytest.mark.slow
def test_file_is_opened_continued_and_saved(driver, address, tmp_path):
    write_midi(four_parts(4), tmp_path / "mine.mid")
    page = Page(driver, address)
    page.one("#file").send_keys(str(tmp_path / "mine.mid"))
    page.cards(1)
    page.fill("#length", 2)
    page.fill("#num_outputs", 1)
    page.press("Continue")
    pieces = page.cards(2)
    longer = max(pieces, key=lambda piece: piece["seconds"])
    page.one(".menu summary").click()
    page.one(".menu .item").click()
    path = pathlib.Path(driver.downloads, f"{longer['title']}.mid")
    page.wait(path.exists)
    read = read_file(path)
    assert sorted((n.pitch, round(n.start_time, 2)) for n in read.notes) == sorted(
        (n[0], round(n[1], 2)) for n in longer["notes"]
    )


@pytest.mark.slow
def test_bars_that_the_mouse_marks_are_written_anew(
    driver, serve, infill_export, tmp_path
):
    write_midi(four_parts(8), tmp_path / "mine.mid")
    page = Page(driver, serve(Studio(Shelf([infill_export]))))
    page.one("#file").send_keys(str(tmp_path / "mine.mid"))
    (piece,) = page.cards(1)
    page.choose("coconet")
    page.fill("#num_outputs", 1)
    roll = page.one(".roll")
    x = [page.run("studio.cards[0].roll.x(arguments[0])", at) for at in (2.5, 5.5)]
    middle = roll.size["width"] / 2
    chain = webdriver.ActionChains(driver)
    chain.move_to_element_with_offset(roll, int(x[0] - middle), 20).click_and_hold()
    chain.move_by_offset(int(x[1] - x[0]), 0).release().perform()
    assert page.run("studio.cards[0].roll.markedBars") == [2, 3]
    page.one(".voices input[value=Bass]").click()
    page.press("Rewrite")
    new = page.cards(2)[1]
    assert "bars 2 to 3" in new["title"]

    def outside(notes):
        return {tuple(n) for n in notes if not 2 <= n[1] < 6}

    assert outside(new["notes"]) == outside(piece["notes"])
    bass = {tuple(n) for n in piece["notes"] if n[4] == 3}
    assert bass <= {tuple(n) for n in new["notes"]}


@pytest.mark.slow
def test_notes_are_drawn_deleted_undone_and_saved(driver, serve):
    page = Page(driver, serve(Studio(None, [four_parts(2)])))
    page.press("Edit")
    before = page.cards(1)[0]["notes"]
    roll = page.one(".roll")

    def click(pitch, seconds):
        place = "[roll.x(arguments[1]), roll.y(arguments[0]) + roll.row / 2]"
        script = f"((roll) => {place})(studio.cards[0].roll)"
        x, y = page.run(script, pitch, seconds)
        x, y = int(x - roll.size["width"] / 2), int(y - roll.size["height"] / 2)
        chain = webdriver.ActionChains(driver)
        chain.move_to_element_with_offset(roll, x, y).click().perform()
        return page.cards(1)[0]["notes"]

    added = click(74, 1.3)
    (note,) = [note for note in added if note not in before]
    assert note[:3] == [74, 1.25, 1.375]
    assert note not in click(74, 1.3)
    fewer = click(72, 0.5)
    assert len(fewer) == len(before) - 1
    page.press("Undo")
    assert page.cards(1)[0]["notes"] == before
    page.press("Redo")
    page.one(".menu summary").click()
    page.one(".menu .item").click()
    path = pathlib.Path(driver.downloads, "Piece.mid")
    page.wait(path.exists)
    assert len(read_file(path).notes) == len(before) - 1
    page.driver.refresh()
    page.wait(lambda: page.all("body[data-ready]"))
    first = page.cards(1)[0]
    assert len(first["notes"]) == len(before) - 1


@pytest.mark.slow
def test_likeliest_pieces_are_ranked(driver, address):
    page = Page(driver, address)
    page.fill("#length", 2)
    page.one("#search").click()
    page.cards(2)
    best, next_best = (card.text for card in page.all("#pieces > *"))
    assert "likeliest, no. 1" in best
    assert "likeliest, no. 2" in next_best
    assert page.complaints() == []


@pytest.mark.slow
def test_link_makes_the_same_music_again(driver, address):
    page = Page(driver, address)
    page.choose("folk")
    page.fill("#length", 4)
    page.fill("#seed", 7)
    page.run("document.querySelector('#control-temperature').focus()")
    page.one("#control-temperature").send_keys("\ue012" * 5)  # the left arrow
    page.one("#generate").click()
    first = page.cards(2)
    link = driver.current_url
    assert "seed=7" in link
    again = Page(driver, link)
    again.one("#generate").click()
    second = again.cards(2)
    assert [p["notes"] for p in first] == [p["notes"] for p in second]


@pytest.mark.slow
def test_loop_tempo_and_keys(driver, serve):
    page = Page(driver, serve(Studio(None, [four_parts(4)])))
    roll = page.one(".roll")
    roll.send_keys("\ue014")  # the right arrow: to the next bar
    assert page.run("studio.player.position") == 2
    page.run("studio.cards[0].roll.markBars(2, 2)")
    page.one("body").send_keys("l")
    page.run("studio.player.setRate(2)")
    page.one("body").send_keys(" ")
    page.wait(lambda: page.run("studio.player.playing"))
    seen = [
        page.run("studio.player.position") for _ in range(150) if not time.sleep(0.02)
    ]
    assert min(seen[10:]) >= 1.9
    assert max(seen) <= 4.2
    assert any(b < a - 1 for a, b in zip(seen, seen[1:], strict=False))
    page.one("body").send_keys("s")
    assert not page.run("studio.player.playing")


@pytest.mark.slow
def test_errors_are_one_line_on_the_page(driver, address, tmp_path):
    (tmp_path / "broken.mid").write_bytes(b"no music")
    page = Page(driver, address)
    page.one("#file").send_keys(str(tmp_path / "broken.mid"))
    page.wait(lambda: page.one("#error-text").is_displayed())
    assert "\n" not in page.one("#error-text").text
    page.fill("#num_outputs", 99)
    page.one("#generate").click()
    page.wait(lambda: "num_outputs: expected 1 to 8" in page.one("#error-text").text)


@pytest.mark.slow
def test_long_request_is_cancelled(driver, address):
    page = Page(driver, address)
    page.fill("#length", 64)
    page.fill("#num_outputs", 2)
    page.one("#generate").click()
    page.wait(lambda: page.one("#cancel").is_displayed())
    page.one("#cancel").click()
    page.wait(lambda: not page.one("#progress").is_displayed())
    assert page.one("#generate").is_enabled()
    assert page.all(".card") == []


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_page_fits_in_both_themes(driver, serve, theme, width):
    size = {
        "width": width,
        "height": 800,
        "deviceScaleFactor": 1,
        "mobile": width < 500,
    }
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        piece = four_parts(2)
        piece.filename = "a_rather_long_name_of_a_file_that_has_no_place_to_break.mid"
        page = Page(driver, serve(Studio(Shelf(), [piece])))
        assert page.run("document.documentElement.scrollWidth") <= width
        paper = page.run("getComputedStyle(document.body).backgroundColor")
        channels = [int(c) for c in paper.removeprefix("rgb(").rstrip(")").split(",")]
        assert (min(channels) > 200) if theme == "light" else (max(channels) < 60)
        assert page.notes_drawn() > 50
        # Every field and button says what it is.
        unnamed = page.run(
            """[...document.querySelectorAll("button, input, select")].filter((e) =>
                !(e.labels?.length || e.ariaLabel || e.textContent.trim())
            ).map((e) => e.outerHTML)"""
        )
        assert unnamed == []
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.slow
def test_score_is_engraved_when_it_is_asked_for(driver, serve):
    page = Page(driver, serve(Studio(None, [four_parts(2)])))
    page.press("Score")
    page.wait(lambda: page.all(".sheet svg path"))
    assert page.complaints() == []


@pytest.mark.slow
def test_hostile_names_are_text(driver, serve):
    piece = make_sequence((60, 80, 0.0, 1.0))
    piece.filename = "<img src=x onerror=alert(1)>.mid"
    page = Page(driver, serve(Studio(None, [piece])))
    assert page.one(".card h2").text == piece.filename
    assert page.all(".card img") == []


def test_pieces_in_a_notebook_play_without_a_server(new_driver, tmp_path):
    pieces = [four_parts(2), make_sequence((36, 80, 0.0, 3.0))]
    path = tmp_path / "output.html"
    path.write_text(f"<body data-ready>{to_html(pieces, ['one', 'two'])}</body>")
    page = Page(new_driver, path.as_uri())
    new_driver.switch_to.frame(page.one("iframe"))
    page.wait(lambda: page.all("body[data-ready]"))
    assert [title.text for title in page.all("h2")] == ["one", "two"]
    first, second = page.all("button")
    second.click()
    page.wait(lambda: page.run("embedded.player.level") > 0.001)
    assert (first.text, second.text) == ("Play", "Pause")
    first.click()  # stops the other
    page.wait(lambda: (first.text, second.text) == ("Pause", "Play"))
    page.wait(lambda: page.run("embedded.lines[0].roll.head") > 0.1)
    assert page.run("embedded.lines[1].roll.head") == 0
    loaded = {
        entry["params"]["request"]["url"]
        for log in new_driver.get_log("performance")
        if (entry := json.loads(log["message"])["message"])["method"]
        == "Network.requestWillBeSent"
    }
    assert path.as_uri() in loaded
    assert loaded <= {path.as_uri(), "about:blank", "about:srcdoc"}
    assert not new_driver.get_log("browser")
