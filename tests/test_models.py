"""Models own their preprocessing, survive saving, and say in one line what is wrong with their weights."""

import hashlib
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import numpy as np
import pytest

from casestudy.errors import DataError, WeightsError
from casestudy.study import ModelSpec

# MobileNetV2 says which of its published sizes it takes for another one.
pytestmark = pytest.mark.filterwarnings("ignore:`input_shape` is undefined or non-square")

SHAPE = (32, 32, 3)
AUGMENTATION = {"rotation": 0.1, "zoom": 0.2, "shift": 0.1, "brightness": 0.2, "contrast": 0.3, "mirror": True}


def build(name="small_cnn", *, weights=None, **options):
    from casestudy.models.network import build_network

    return build_network(ModelSpec(name, **options), input_shape=SHAPE, num_classes=3, weights=weights)


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (6, *SHAPE)).astype("float32")


@pytest.fixture(scope="module")
def mobilenet():
    return build("mobilenet_v2_0.35")


def test_raw_pixels_go_in(mobilenet, pixels):
    from casestudy.models.backend import keras

    base, head = mobilenet.get_layer("base"), mobilenet.get_layer("probabilities")
    scaled = keras.applications.mobilenet_v2.preprocess_input(pixels.copy())
    pooled = np.asarray(base(scaled, training=False)).mean(axis=(1, 2))
    scores = pooled @ np.asarray(head.kernel) + np.asarray(head.bias)
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(mobilenet.predict_on_batch(pixels), expected, rtol=1e-4, atol=1e-6)
    resnet = keras.applications.resnet_v2.preprocess_input(pixels.copy())
    np.testing.assert_allclose(np.asarray(mobilenet.get_layer("preprocessing")(pixels)), resnet, atol=1e-6)


@pytest.mark.parametrize("trainable", ["head", "all", "top:4"])
def test_batch_norm_never_looks_at_the_batch(trainable, pixels):
    """Keras 3 hands fit's `training=True` into a base that was called with `training=False`; freezing must hold."""
    from casestudy.training.stages import batch_norms, set_trainable

    model = build(dropout=0.0)
    moving = [v for layer in batch_norms(model) for v in layer.non_trainable_variables]
    before = [v.numpy().copy() for v in moving]
    assert np.abs(np.asarray(model(pixels, training=True)) - np.asarray(model(pixels, training=False))).max() > 1e-3
    for variable, value in zip(moving, before, strict=True):
        variable.assign(value)
    set_trainable(model, trainable)
    np.testing.assert_array_equal(model(pixels, training=True), model(pixels, training=False))
    for old, new in zip(before, moving, strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_saved_model_is_complete(pixels, tmp_path):
    from casestudy.models.backend import keras

    model = build(augmentation=AUGMENTATION)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(again.predict_on_batch(pixels), model.predict_on_batch(pixels))


def test_a_mirrored_average_does_not_care_about_mirrors(pixels, tmp_path):
    from casestudy.models.network import average_with_mirror, load_model

    plain = build(augmentation=AUGMENTATION)
    # As `inference_model` hands it over: made from lists of tensors.
    model = average_with_mirror(type(plain)(plain.inputs, plain.outputs, name=plain.name))
    assert model.count_params() == plain.count_params()
    straight, mirrored = (plain.predict_on_batch(x) for x in (pixels, pixels[:, :, ::-1]))
    expected = model.predict_on_batch(pixels)
    np.testing.assert_allclose(expected, (straight + mirrored) / 2, atol=1e-6)
    assert np.abs(straight - mirrored).max() > 1e-4
    np.testing.assert_allclose(model.predict_on_batch(pixels[:, :, ::-1]), expected, atol=1e-6)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(load_model(tmp_path / "model.keras").predict_on_batch(pixels), expected)


def test_augmentation_varies_training_and_nothing_else(pixels):
    from casestudy.models.network import build_augmentation

    layers = build_augmentation(AUGMENTATION)
    np.testing.assert_array_equal(layers(pixels, training=False), pixels)
    one, two = np.asarray(layers(pixels, training=True)), np.asarray(layers(pixels, training=True))
    assert np.abs(one - pixels).max() > 20
    assert np.abs(one - two).max() > 20
    assert one.min() >= 0
    assert one.max() <= 255
    plain, augmented = build(), build(augmentation=AUGMENTATION)
    assert [v.shape for v in plain.trainable_variables] == [v.shape for v in augmented.trainable_variables]
    for source, target in zip(plain.trainable_variables, augmented.trainable_variables, strict=True):
        target.assign(source)
    np.testing.assert_array_equal(plain.predict_on_batch(pixels), augmented.predict_on_batch(pixels))


@pytest.mark.parametrize("kind", ["rotation", "zoom", "shift", "brightness", "contrast", "mirror"])
def test_each_augmentation_does_something_of_its_own(kind, pixels):
    from casestudy.models.network import build_augmentation

    layers = build_augmentation({kind: AUGMENTATION[kind]})
    assert len(layers.layers) == 1
    changed = [np.abs(np.asarray(layers(pixels, training=True)) - pixels).max() for _ in range(3)]
    assert max(changed) > 1


def test_only_a_wish_mirrors():
    from casestudy.models.network import build_augmentation

    every_other = {name: value for name, value in AUGMENTATION.items() if name != "mirror"}
    kinds = [type(layer).__name__ for layer in build_augmentation(every_other).layers]
    assert "RandomFlip" not in kinds
    from casestudy.studies import STUDIES

    # Clothes survive a mirror; signs and characters become others.
    trained = [(name, each.model) for name, study in STUDIES.items() for each in (study, *study.variants)]
    assert {name for name, model in trained if model.augmentation.get("mirror")} == {"fashion-mnist", "clothes"}


def test_batch_norm_starts_from_the_images(pixels):
    from casestudy.training.stages import batch_norms, estimate_batch_norm

    base = build().get_layer("base")
    batches = [pixels[:3] / 127.5 - 1, pixels[3:] / 127.5 - 1]
    estimate_batch_norm(base, batches)
    layers = batch_norms(base)
    assert len(layers) == 4
    kernel = base.layers[1]
    responses = [np.asarray(kernel(batch)) for batch in batches]
    mean = np.mean([r.mean(axis=(0, 1, 2)) for r in responses], axis=0)
    variance = np.mean([r.var(axis=(0, 1, 2)) for r in responses], axis=0)
    np.testing.assert_allclose(layers[0].moving_mean, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layers[0].moving_variance, variance, rtol=1e-4, atol=1e-5)
    assert {layer.momentum for layer in layers} == {0.99}


def test_wrong_wishes_are_one_line():
    with pytest.raises(DataError, match=r"resnet50v2, .*compact_cnn; received 'vgg'"):
        build("vgg")
    with pytest.raises(WeightsError, match="small_cnn starts from random weights"):
        build(weights="imagenet")
    with pytest.raises(WeightsError, match=r"no file /nowhere\.weights\.h5"):
        build("mobilenet_v2_0.35", weights="/nowhere.weights.h5")
    from casestudy.models.network import build_network

    with pytest.raises(DataError, match="cannot be built for images of 8x8") as caught:
        build_network(ModelSpec("resnet50v2"), input_shape=(8, 8, 3), num_classes=3, weights=None)
    assert "\n" not in str(caught.value)


def weights_of(model):
    return [variable.numpy() for variable in model.variables if variable.name != "seed_generator_state"]


def test_a_model_is_built_for_its_images(make_images):
    from casestudy.models import build_model, origin_of

    images, spec = make_images(labels=("A", "B", "C", "D"), size=24), ModelSpec("plain_cnn")
    one, same, other = (build_model(spec, images, seed=seed) for seed in (4, 4, 5))
    assert (one.input_shape, one.output_shape) == ((None, 24, 24, 3), (None, 4))
    for mine, theirs in zip(weights_of(one), weights_of(same), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert (weights_of(one)[0] != weights_of(other)[0]).any()
    origin = origin_of(one)
    assert (origin.spec, origin.weights, origin.seed, origin.precision) == (spec, None, 4, "float32")


def test_weights_asked_for_beside_the_spec_come_first(make_images, mobilenet, tmp_path):
    from casestudy.models import build_model, origin_of

    images, file = make_images(signers=1, takes=1), tmp_path / "mine.weights.h5"
    mobilenet.get_layer("base").save_weights(file)
    spec = ModelSpec("mobilenet_v2_0.35", weights=str(file))
    loaded = build_model(spec, images, seed=1)
    for mine, theirs in zip(loaded.get_layer("base").variables, mobilenet.get_layer("base").variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for nothing in (None, "none"):
        fresh = build_model(spec, images, seed=1, weights=nothing)
        assert (origin_of(fresh).spec.weights, origin_of(fresh).weights) == (None, None)
        assert (weights_of(fresh)[0] != weights_of(loaded)[0]).any()
    with pytest.raises(WeightsError, match=r"there is no file .*gone\.weights\.h5"):
        build_model(spec, images, seed=1, weights=str(tmp_path / "gone.weights.h5"))


def test_precision_is_the_models_alone(make_images):
    from casestudy.models import build_model, keras, origin_of

    before, images = keras.config.dtype_policy().name, make_images(signers=1, takes=1)
    half = build_model(ModelSpec("plain_cnn"), images, seed=1, precision="mixed_float16")
    assert {layer.compute_dtype for layer in half.get_layer("base").layers if hasattr(layer, "kernel")} == {"float16"}
    assert half.get_layer("probabilities").compute_dtype == "float32"
    assert origin_of(half).precision == "mixed_float16"
    assert keras.config.dtype_policy().name == before == "float32"
    with pytest.raises(DataError, match="cannot be built"):
        build_model(ModelSpec("plain_cnn", options={"filters": [8] * 6}), images, seed=1, precision="mixed_float16")
    assert keras.config.dtype_policy().name == before


def test_what_is_kept_of_a_model_has_no_optimizer_and_the_mirror_it_asks_for(make_images, pixels):
    from casestudy.models import build_model, inference_model, keras, origin_of

    images = make_images(signers=1, takes=1)
    for asked in (False, True):
        model = build_model(ModelSpec("plain_cnn", mirror_average=asked), images, seed=1)
        model.compile("adam", "sparse_categorical_crossentropy")
        finished = inference_model(model)
        assert not finished.compiled
        straight, mirrored = (model.predict_on_batch(x) for x in (pixels, pixels[:, :, ::-1]))
        expected = (straight + mirrored) / 2 if asked else straight
        np.testing.assert_allclose(finished.predict_on_batch(pixels), expected, atol=1e-6)
        assert np.abs(straight - mirrored).max() > 1e-4
        assert inference_model(finished) is finished
    stranger = keras.Sequential([keras.layers.Flatten()], name="stranger")
    assert inference_model(stranger) is stranger
    with pytest.raises(DataError, match="received another, 'stranger'"):
        origin_of(stranger)


def test_weights_from_a_file(mobilenet, pixels, tmp_path):
    saved = tmp_path / "mine.weights.h5"
    mobilenet.get_layer("base").save_weights(saved)
    other = build("mobilenet_v2_0.35", weights=str(saved))
    for mine, theirs in zip(mobilenet.get_layer("base").variables, other.get_layer("base").variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.filterwarnings("ignore:Skipping nested container")
@pytest.mark.parametrize("content", ["garbage", "empty", "another"])
def test_a_weights_file_that_does_not_fit_is_one_line(content, tmp_path):
    file = tmp_path / "mine.weights.h5"
    if content == "another":
        build().get_layer("base").save_weights(file)
    else:
        file.write_bytes(b"no weights" * 50 if content == "garbage" else b"")
    with pytest.raises(WeightsError, match=r"mine\.weights\.h5.*same architecture") as caught:
        build("mobilenet_v2_0.35", weights=str(file))
    assert "\n" not in str(caught.value)


@pytest.fixture
def signs(tmp_path, monkeypatch):
    """Signs for the small network, pinned; returns (their file, the network they were written from)."""
    from casestudy.models import network as models, weights
    from casestudy.models.quantised import write_quantised

    source = build().get_layer("base")
    file = write_quantised(source, tmp_path / "signs.npz")
    monkeypatch.setattr(weights, "SIGNS_MODEL", "small_cnn")
    monkeypatch.setattr(weights, "SIGNS_FILE", file)
    monkeypatch.setattr(models, "SIGNS_SHA256", hashlib.sha256(file.read_bytes()).hexdigest())
    return file, source


def test_signs_are_loaded_and_checked(signs):
    file, source = signs
    loaded = build(weights="signs").get_layer("base")
    for theirs, ours in zip(source.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=np.abs(theirs).max() / 127 * 0.50001)
    with pytest.raises(WeightsError, match="small_cnn's; received resnet50v2"):
        build("resnet50v2", weights="signs")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(WeightsError, match=r"damaged or not the published file.*--weights none"):
        build(weights="signs")


def test_a_quantised_file_of_ones_own_is_not_pinned(mobilenet, tmp_path):
    from casestudy.models.quantised import write_quantised

    mine = write_quantised(mobilenet.get_layer("base"), tmp_path / "mine.npz")
    base = build("mobilenet_v2_0.35", weights=str(mine)).get_layer("base")
    for theirs, ours in zip(mobilenet.get_layer("base").get_weights(), base.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=np.abs(theirs).max() / 127 * 0.50001)
    with pytest.raises(WeightsError, match="of the model's own architecture"):
        build("small_cnn", weights=str(mine))
    with pytest.raises(WeightsError, match=r"none at .*other\.npz"):
        build("small_cnn", weights=str(tmp_path / "other.npz"))


class Host:
    """A local stand-in for the host of the weights: serves `answer` and remembers what it was asked for."""

    def __init__(self):
        self.answer: bytes | int | None = 404  # bytes, a status, or None for silence
        self.asked: list[str] = []
        self.over = threading.Event()
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                host.asked.append(self.path)
                if isinstance(host.answer, int):
                    self.send_error(host.answer)
                    return
                body = host.answer or b""
                self.send_response(200)
                self.send_header("Content-Length", str(len(body) or 1000))
                self.end_headers()
                self.wfile.write(body)
                if host.answer is None:
                    host.over.wait(30)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Keras with an empty folder of its own, whose downloads go to a local server."""
    from keras.src.backend import config
    from keras.src.utils import file_utils

    from casestudy.models import architectures

    served, real = Host(), file_utils.urlretrieve

    def redirected(url, *args):
        assert url.startswith("https://storage.googleapis.com/tensorflow/keras-applications/")
        return real(served.url + "/" + url.rsplit("/", 1)[1], *args)

    monkeypatch.setattr(file_utils, "urlretrieve", redirected)
    monkeypatch.setattr(config, "_KERAS_DIR", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(architectures, "STALL", 0.5)
    yield served
    served.close()


@pytest.mark.parametrize("name", ["resnet50v2", "mobilenet_v2_0.35"])
@pytest.mark.parametrize("answer", [404, b"not the file that was asked for" * 9, None], ids=["404", "wrong", "silence"])
def test_a_failed_download_is_one_line_with_a_remedy(name, answer, host):
    host.answer = answer
    with pytest.raises(WeightsError, match=r"KERAS_HOME.*--weights none") as caught:
        build(name, weights="imagenet")
    assert "\n" not in str(caught.value)
    assert len(host.asked) == 1


@pytest.mark.parametrize("answer", [404, None], ids=["404", "silence"])
def test_a_download_goes_through_the_proxy_and_one_that_stalls_there_is_given_up(answer, host, monkeypatch):
    import urllib.request

    from keras.src.utils import file_utils

    for name in ("no_proxy", "NO_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", host.url)  # https would need a certificate; urllib treats both alike
    monkeypatch.setattr(urllib.request, "_opener", None)  # as in a new process, which reads the environment first
    elsewhere = "http://no-such-host.invalid"
    monkeypatch.setattr(
        file_utils,
        "urlretrieve",
        lambda url, *args: urllib.request.urlretrieve(f"{elsewhere}/{url.rsplit('/', 1)[1]}", *args),
    )
    host.answer = answer
    with pytest.raises(WeightsError, match=r"KERAS_HOME.*--weights none") as caught:
        build("mobilenet_v2_0.35", weights="imagenet")
    assert ("404" if answer else "timed out") in str(caught.value)
    assert len(host.asked) == 1
    assert host.asked[0].startswith(f"{elsewhere}/mobilenet_v2_weights")
    assert not list(Path(os.environ["KERAS_HOME"]).rglob("*.h5"))  # half a file would be taken for a whole one


def test_the_stall_limit_does_not_stay_behind(host):
    import socket

    before = socket.getdefaulttimeout()
    with pytest.raises(WeightsError):
        build("mobilenet_v2_0.35", weights="imagenet")
    assert socket.getdefaulttimeout() == before


def test_a_download_that_works(host, mobilenet, tmp_path):
    """ResNet50V2's file is pinned by hash, so only the unpinned MobileNetV2 can be served by a stand-in."""
    from keras.src.legacy.saving import legacy_h5_format

    from casestudy.models.weights import imagenet_file

    served = tmp_path / "served.h5"
    with h5py.File(served, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, mobilenet.get_layer("base"))
    host.answer = served.read_bytes()
    found = build("mobilenet_v2_0.35", weights="imagenet")
    for mine, theirs in zip(mobilenet.get_layer("base").variables, found.get_layer("base").variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    expected = imagenet_file("mobilenet_v2_0.35", SHAPE[:2])
    assert host.asked == [f"/{expected.name}"]
    assert hashlib.sha256(expected.read_bytes()).digest() == hashlib.sha256(host.answer).digest()
    build("mobilenet_v2_0.35", weights="imagenet")
    assert len(host.asked) == 1  # from Keras' folder the second time


@pytest.mark.parametrize("size", [(96, 96), (64, 64), (96, 128)])
def test_the_file_that_keras_will_ask_for_is_known_beforehand(size, host):
    from casestudy.models.architectures import MODELS, _published
    from casestudy.models.weights import IMAGENET_FILES, imagenet_file

    for name in ("mobilenet_v2", "resnet50v2") if size == (96, 96) else ("mobilenet_v2_0.35",):
        host.asked.clear()
        with pytest.raises(WeightsError):
            MODELS[name](input_shape=(*size, 3), weights="imagenet")
        assert host.asked == [f"/{imagenet_file(name, size).name}"]
    assert set(IMAGENET_FILES) == {name for name, builder in MODELS.items() if builder.func is _published}


def test_what_a_spec_asks_for_is_built(make_images):
    """The dropout is the one asked for, the seed decides the first weights, and a mirror turns left and right round."""
    from casestudy.models import build_model
    from casestudy.models.network import build_augmentation

    images = make_images(signers=1, takes=1)
    for rate in (0.0, 0.45):
        spec = ModelSpec("plain_cnn", weights=None, dropout=rate)
        assert build_model(spec, images, seed=1).get_layer("dropout").rate == rate
    one, again, other = (build_model(spec, images, seed=seed).get_weights() for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(one, again, strict=True))
    assert any((a != b).any() for a, b in zip(one, other, strict=True))
    pixels = images.images[:1].astype("float32")
    mirror = build_augmentation({"mirror": True})
    seen = {np.asarray(mirror(pixels, training=True)).tobytes() for _ in range(30)}
    assert seen == {pixels.tobytes(), pixels[:, :, ::-1].tobytes()}


@pytest.mark.parametrize(
    ("size", "published"), [((96, 96), 96), ((224, 224), 224), ((96, 128), 224), ((128, 96), 224), ((100, 100), 224)]
)
def test_a_published_size_is_that_of_a_square(size, published):
    from casestudy.models.weights import imagenet_file

    assert f"_{published}_no_top" in imagenet_file("mobilenet_v2", size).name


def test_a_seed_gives_the_same_weights_whoever_else_draws_by_chance():
    """Threads of a worker, or of a notebook, use Python's `random` while a network is built."""
    import random

    from casestudy.models.backend import keras

    def built():
        keras.utils.set_random_seed(5)
        layers = [keras.layers.Dense(4) for _ in range(50)]
        for layer in layers:
            layer.build((None, 4))
        return np.stack([layer.kernel for layer in layers])

    quiet, stop = built(), threading.Event()

    def draw():
        while not stop.is_set():
            random.random()

    noise = threading.Thread(target=draw)
    noise.start()
    try:
        assert (built() == quiet).all() and (built() == quiet).all()
    finally:
        stop.set()
        noise.join()
    keras.utils.set_random_seed(5)
    assert random.random() == random.Random(5).random()  # Python's own is seeded, as Keras promises
