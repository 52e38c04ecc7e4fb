"""The page of `casestudy demo` reads in a real browser what Python reads; without Chromium this part is skipped."""

import base64
import itertools
import json

import numpy as np
import pytest
import test_report_browser
from PIL import Image
from test_report_browser import Browser

from casestudy import demo
from casestudy.cli import main
from casestudy.data import Sight
from casestudy.demo import write_demo
from casestudy.errors import DataError, RunError
from casestudy.listing import Listing, list_network
from casestudy.models import keras

in_a_browser = test_report_browser.pytestmark
CLOSE = 2e-4  # between two programs that multiply the same rounded numbers in another order
layers = keras.layers


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def page(finished_run, browser, tmp_path_factory):
    """The page of a run, open and ready."""
    target = write_demo(finished_run, tmp_path_factory.mktemp("page") / "demo.html")
    browser.open(target)
    assert browser.run("ready.then(() => at('state').textContent)") == "Ready."
    return target


def given(browser, data, what):
    """Chooses a picture of these bytes, and returns `what` of what was found."""
    code = base64.b64encode(data).decode()
    return browser.run(
        f"""(async () => {{ const bytes = Uint8Array.from(atob("{code}"), (one) => one.charCodeAt(0));
        const found = await readFile(new File([bytes], "mine")); return {what} }})()"""
    )


@pytest.fixture(scope="module")
def film(draw, tmp_path_factory):
    """A film of twelve photographs, as a camera would show them: (the photographs, its file)."""
    size = (160, 120)
    photos = [
        Image.fromarray(draw(label, signer, 7, size=120)).resize(size)
        for label, signer in itertools.product("ABC", range(4))
    ]
    frames = []
    for photo in photos:  # in Y4M: brightness of each pixel from 16 to 235, then two colours of each block of four
        bright, *colours = photo.convert("YCbCr").split()
        small = [one.reduce(2).point([round(128 + (k - 128) * 224 / 255) for k in range(256)]) for one in colours]
        frames.append(
            b"".join(one.tobytes() for one in [bright.point([round(16 + k * 219 / 255) for k in range(256)]), *small])
        )
    file = tmp_path_factory.mktemp("film") / "film.y4m"
    head = f"YUV4MPEG2 W{size[0]} H{size[1]} F4:1 Ip A1:1 C420jpeg\n".encode()
    file.write_bytes(head + b"".join(b"FRAME\n" + frame for frame in frames))
    return photos, file


@pytest.fixture
def filmed(request, film, finished_run, tmp_path):
    """The page in a browser whose camera shows the film; `kept` there holds each picture that it reads."""
    fake = ("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film[1]}")
    opened = Browser(tmp_path / "profile", *fake, "--use-fake-ui-for-media-stream" + getattr(request, "param", ""))
    opened.open(write_demo(finished_run, tmp_path / "demo.html"))
    assert opened.run("ready.then(() => at('state').textContent)") == "Ready."
    opened.run(KEPT)
    yield opened
    opened.close()


KEPT = """(() => { window.kept = new Map();
  const [pixels, shows] = [pixelsOf, show];
  const coded = (bytes) => btoa(Array.from(bytes, (one) => String.fromCharCode(one)).join(""));
  let last;
  window.pixelsOf = (canvas) => (last = pixels(canvas));
  window.show = (found) => { shows(found); const { width, height, data } = last;
    kept.set(coded(data), { width, height, probabilities: found.probabilities, letter: at("letter").textContent,
      verdict: at("verdict").textContent, seen: Array.from(found.seen.data) }) };
})()"""


# What the page was given of cameras.
GIVEN = """(() => { window.given = [];
  const devices = navigator.mediaDevices, asks = devices.getUserMedia.bind(devices);
  devices.getUserMedia = async (what) => { const one = await asks(what); given.push(...one.getTracks()); return one; };
})()"""


def until(browser, what, tries=600):
    """Waits until an expression is true in the page."""
    script = f"""new Promise((then) => {{ const look = (left) => {what} || !left ? then({what})
        : setTimeout(look, 100, left - 1); look({tries}); }})"""
    found = browser.run(script)
    assert found, what
    return found


def rounded(model, kind="float16"):
    """Returns the same network with the kernels that a page has, rounded by hand."""
    twin = keras.models.clone_model(model)
    numbers = [one.astype(kind).astype("float32") if one.ndim > 1 else one for one in model.get_weights()]
    twin.set_weights(numbers)
    return twin


@pytest.mark.usefixtures("browser")
class TestInABrowser:
    pytestmark = in_a_browser

    def test_it_reads_as_python_does(self, page, browser, finished_run, draw, encode, tmp_path):
        from casestudy import load_model, read_photographs

        for label, signer in itertools.product("ABC", range(4)):
            (tmp_path / f"{label}{signer}.png").write_bytes(encode(draw(label, signer, 7, size=45 + 9 * signer)))
        table = read_photographs(finished_run, tmp_path)
        network = rounded(load_model(finished_run.path / "model.keras"))
        for row in table.to_dict("records"):
            data = (tmp_path / row["name"].rpartition("/")[2]).read_bytes()
            probabilities, pixels, likely = given(
                browser, data, "[found.probabilities, Array.from(found.seen.data), found.likely]"
            )
            seen, _ = Sight((32, 32), 3).see(data)
            assert pixels == seen.ravel().tolist()  # Pillow's resize, to the bit
            (own,) = np.asarray(network(seen[None].astype("float32")))
            assert np.abs(own - probabilities).max() < CLOSE
            assert np.abs([row["p_A"], row["p_B"], row["p_C"]] - np.array(probabilities)).max() < 0.01
            assert "ABC"[int(np.argmax(probabilities))] == row["label"]
            assert (len(likely) == 1) == row["sure"] and "; ".join("ABC"[k] for k in likely) == row["may_be"]
        assert browser.requests == [page.as_uri()] and not browser.troubles

    def test_a_picture_is_turned_as_its_exif_asks_and_lies_on_white(self, page, browser, draw, encode):
        picture = Image.fromarray(draw("A", 2, 1, size=40)).resize((60, 40))
        exif = Image.Exif()
        exif[0x0112] = 6
        clear = Image.new("RGBA", (40, 40), (200, 0, 0, 0))
        for data in (encode(picture, exif=exif), encode(clear)):
            seen, _ = Sight((32, 32), 3).see(data)
            found = given(browser, data, "Array.from(found.seen.data)")
            assert (
                np.abs(found - seen.ravel().astype(int)).max() <= 2
            )  # a browser turns a picture with its own rounding

    def test_a_large_picture_is_looked_at_as_in_python(self, page, browser):
        """In two steps, where the localiser makes much smaller; and the part that it looks closer at."""
        noise = np.random.default_rng(3).integers(0, 256, (523, 711, 3)).astype("uint8")
        image = Image.fromarray(noise)
        for box in ((0.0, 0.0, 711.0, 523.0), (103.2, 7.9, 611.7, 516.4), (10.5, 20.25, 130.5, 140.25)):
            seen = image.resize((96, 96), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)
            code = base64.b64encode(noise.tobytes()).decode()
            script = f"""Array.from(inTwoSteps({{width: 711, height: 523, channels: 3,
                data: Uint8Array.from(atob("{code}"), (one) => one.charCodeAt(0))}}, 96, {list(box)}).data)"""
            assert browser.run(script) == np.asarray(seen).ravel().tolist()

    def test_no_picture_and_no_camera_are_said(self, page, browser):
        assert given(browser, b"no picture", "at('trouble').textContent").startswith("This browser cannot open mine")
        assert browser.run("document.activeElement.tagName") == "BODY" and browser.run("stream") is None
        browser.press("Tab", 9)
        assert browser.run("document.activeElement.id") == "camera"
        browser.press("Enter", 13)
        said = """new Promise((then) => {
            const look = (left) => { const text = at('trouble').textContent;
                text || !left ? then(text) : setTimeout(look, 100, left - 1); };
            look(200);
        })"""
        assert browser.run(said).endswith("choose a picture.")

    def test_it_may_connect_to_nothing(self, page, browser):
        tried = "fetch('https://example.org/').then(() => 'reached', (error) => error.name)"
        assert browser.run(tried) == "TypeError"
        assert any("Content Security Policy" in json.dumps(one) for one in browser.troubles)

    @pytest.mark.parametrize("half", [True, False], ids=["float16", "int8"])
    def test_every_layer_is_what_keras_makes_of_it(self, page, browser, half, monkeypatch):
        if not half:
            monkeypatch.setattr("casestudy.listing.MOST_HALF", 0)
        keras.utils.set_random_seed(5)
        pixels = keras.Input((20, 24, 3))
        x = layers.RandomFlip()(layers.Rescaling(1 / 127.5, offset=-1)(pixels))
        x = layers.Conv2DTranspose(4, 2, strides=2)(layers.Resizing(10, 14)(x))
        x = layers.ZeroPadding2D(((1, 2), (0, 1)))(layers.LeakyReLU(0.1)(x))
        x = layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x))
        y = layers.ReLU(6)(layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x))
        y = layers.Conv2D(8, 1, activation="relu")(layers.BatchNormalization()(y))
        x = layers.BatchNormalization()(layers.Add()([x, y, layers.SeparableConv2D(8, 3, padding="same")(x)]))
        x = layers.AveragePooling2D(2, strides=1, padding="same")(layers.MaxPooling2D(3, 2, padding="same")(x))
        flat = layers.Dense(9, activation="relu")(layers.Flatten()(keras.ops.flip(x, axis=2)))
        x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x), flat])
        first, second = (layers.Dense(5, activation="softmax")(layers.Dropout(0.5)(x)) for _ in range(2))
        model = keras.Model(pixels, layers.Average()([first, second]))
        chance = np.random.default_rng(4)
        model.set_weights([chance.uniform(0.3, 1.5, one.shape) * 0.4 for one in model.get_weights()])
        operations, numbers = list_network(model).packed()
        picture = chance.integers(0, 256, (20, 24, 3)).astype("uint8")
        (expected,) = np.asarray(model(picture[None].astype("float32")))
        code, shown = base64.b64encode(numbers).decode(), base64.b64encode(picture.tobytes()).decode()
        found = browser.run(
            f"""(() => {{ const from = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
            const network = loaded({json.dumps(operations)}, from("{code}"));
            return Array.from(through(network, {{width: 24, height: 20, channels: 3, data: from("{shown}")}})) }})()"""
        )
        assert np.abs(expected - found).max() < (2e-3 if half else 2e-2)
        assert len({kind for kind in (one["kind"] for one in operations)}) >= 14

    def test_the_hand_is_found_where_python_finds_it(self, page, browser):
        from casestudy.data.localiser import load_localiser

        network = load_localiser()
        operations, numbers = network.listed().packed()
        picture = np.random.default_rng(1).integers(0, 256, (96, 96, 3)).astype("uint8")
        code, shown = base64.b64encode(numbers).decode(), base64.b64encode(picture.tobytes()).decode()
        found = browser.run(
            f"""(() => {{ const from = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
            networks.hand = loaded({json.dumps(operations)}, from("{code}")); facts.hand = {json.dumps(network.facts)};
            const picture = {{width: 96, height: 96, channels: 3, data: from("{shown}")}};
            const found = [Array.from(through(networks.hand, picture)), find(picture)];
            delete networks.hand; return found }})()"""
        )
        assert np.abs(np.array(found[0]) - network.cells(picture).ravel()).max() < 1e-3
        own = network.find(Image.fromarray(picture))
        assert found[1]["confidence"] == pytest.approx(own.confidence, abs=1e-4)
        assert found[1]["box"] == pytest.approx(own.box, abs=0.05)

    def test_a_camera_is_read_as_python_reads_the_same_pictures(self, filmed, film, finished_run, tmp_path):
        from casestudy import read_photographs

        filmed.click("at('camera')")
        until(filmed, "kept.size >= 12")
        filmed.click("at('camera')")
        found = filmed.run("[...kept].map(([code, one]) => ({ code, ...one }))")
        photos = [np.asarray(photo).astype(int) for photo in film[0]]
        for k, one in enumerate(found):
            pixels = np.frombuffer(base64.b64decode(one["code"]), "uint8").reshape(one["height"], one["width"], 3)
            one["photo"] = int(np.argmin([np.abs(pixels - photo).mean() for photo in photos]))
            assert np.abs(pixels - photos[one["photo"]]).mean() < 12  # it is that photograph, in a film's colours
            Image.fromarray(pixels).save(tmp_path / f"{k:03}.png")
        assert len({one["photo"] for one in found}) == len(photos)
        table = read_photographs(finished_run, [tmp_path / f"{k:03}.png" for k in range(len(found))])
        for one, row in zip(found, table.to_dict("records"), strict=True):
            seen, _ = Sight((32, 32), 3).see((tmp_path / row["name"].rpartition("/")[2]).read_bytes())
            assert one["seen"] == seen.ravel().tolist()
            assert np.abs([row["p_A"], row["p_B"], row["p_C"]] - np.array(one["probabilities"])).max() < 0.01
            assert one["letter"] == (row["label"] if row["sure"] else "?")
            assert row["sure"] or row["may_be"].replace("; ", " or ") in one["verdict"] or not row["may_be"]
        assert [url for url in filmed.requests if not url.startswith("file:")] == [] and not filmed.troubles

    def test_a_camera_is_let_go(self, filmed, film):
        """By the button, by a picture chosen in its place, and where it is pulled out; and it is asked for once."""
        filmed.run(GIVEN)
        live = "given.filter((one) => one.readyState === 'live').length"
        filmed.run("(at('camera').click(), at('camera').click())")  # an impatient hand
        until(filmed, "kept.size")
        assert filmed.run(live) == 1 and filmed.run("at('camera').textContent") == "Stop the camera"
        filmed.click("at('camera')")
        assert filmed.run(live) == 0 and filmed.run("at('camera').textContent") == "Start the camera"
        assert not filmed.run("at('found').hidden")  # the last picture stays
        filmed.run("(kept.clear(), at('camera').click())")
        until(filmed, "kept.size")
        assert given(filmed, film[1].read_bytes(), "found") is None  # no picture: a film
        assert filmed.run(live) == 0 and filmed.run("at('trouble').textContent").startswith("This browser cannot open")
        filmed.run("(kept.clear(), at('camera').click())")
        until(filmed, "kept.size")
        filmed.run("given.at(-1).dispatchEvent(new Event('ended'))")
        assert filmed.run("at('trouble').textContent").startswith("The camera stopped.")
        assert filmed.run("at('camera').textContent") == "Start the camera"

    @pytest.mark.parametrize("filmed", ["=deny"], indirect=True)
    def test_a_camera_that_is_not_allowed_is_said(self, filmed):
        filmed.click("at('camera')")
        said = until(filmed, "at('trouble').textContent")
        assert said == "The camera was not allowed. Allow it for this page in the browser, or choose a picture."
        assert filmed.run("at('camera').textContent") == "Start the camera"


def test_a_layer_that_a_page_cannot_run_is_one_line():
    pixels = keras.Input((8, 8, 3))
    model = keras.Model(pixels, layers.Dense(2)(layers.Flatten()(layers.Conv2D(4, 3, activation="gelu")(pixels))))
    with pytest.raises(DataError, match=r"conv2d\w* \(Conv2D\) is none that it knows\. Read photographs with this one"):
        list_network(model)


def test_a_scaling_that_something_else_reads_past_stays():
    listing = Listing()
    x = listing.weighted("conv", 0, np.ones((1, 1, 1, 1)), np.zeros(1))
    listing.sum(listing.affine(x, np.array([2.0]), np.array([1.0])), x)
    assert [one["kind"] for one in listing.packed()[0]] == ["conv", "affine", "add"]


def test_a_scaling_and_its_shift_become_part_of_the_layer_before():
    listing = Listing()
    x = listing.weighted("conv", 0, np.full((1, 1, 1, 1), 5.0), np.array([7.0]))
    listing.affine(x, np.array([2.0]), np.array([3.0]))
    (one,), numbers = listing.packed()
    told = {
        name: np.frombuffer(numbers, one[name]["type"], 1, one[name]["at"]).item()
        for name in ("kernel", "scale", "bias")
    }
    assert told == {"kernel": 5.0, "scale": 2.0, "bias": 17.0}  # 2 (5 x + 7) + 3


def test_the_page_is_new_and_its_engine_whole(finished_run, tmp_path, monkeypatch, capsys):
    target = tmp_path / "demo.html"
    assert main(["demo", str(finished_run.path), "--out", str(target)]) == 0
    assert "Open it in a browser" in capsys.readouterr().out
    text = target.read_text(encoding="utf-8")
    assert "was read worst" in text and "Small &lt;case&gt; study" in text and "http-equiv" in text
    with pytest.raises(RunError, match="never overwritten"):
        write_demo(finished_run, target)
    monkeypatch.setitem(demo.ENGINE, "LICENSE", "0" * 64)
    with pytest.raises(DataError, match=r"is not the published file\. Restore it: git checkout -- DATA/web/LICENSE"):
        write_demo(finished_run, tmp_path / "other.html")
