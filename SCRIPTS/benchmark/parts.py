"""What is compared with what: one function a part of the benchmark, which fills a table."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from statistics import median

from casestudy.cleaning.decoders import find_decoders
from SCRIPTS.benchmark.bench import Bench, Failed, Part
from SCRIPTS.benchmark.shared import ROOT

# What an AMD processor without AVX-512 gets: the narrower kernels, and no oneDNN unless asked for.
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "XLA_FLAGS": "--xla_cpu_max_isa=AVX2"}
AVX2_DEFAULT = {**AVX2, "TF_ENABLE_ONEDNN_OPTS": "0"}
PER_EPOCH, CPU_PER_EPOCH = "s a later epoch", "CPU s a later epoch"
LAST_STAGE = 36  # layers of ResNet50V2 that follow its fourth stage


def cleaning(bench: Bench, part: Part) -> None:
    """An archive to a sound set by letters, start-up included: ours, rarfile member by member, unrar, 7-Zip."""
    archives = _archives(bench, part)
    zipper = str(next(one for one in find_decoders() if one.kind == "7zip").program)
    unpacked = {"7-Zip x, then Pillow": [zipper, "x", "-bd", "-y"]}
    if shutil.which("unrar"):
        unpacked["unrar x, then Pillow"] = [shutil.which("unrar"), "x", "-inul"]
    ways = {"ours": ("clean_ours", {}), "rarfile, member by member": ("clean_rarfile", {})}
    ways |= {name: ("clean_unpacked", {"program": program}) for name, program in unpacked.items()}
    over: set[str] = set()
    for what, archive in archives.items():
        reads = [name for name in ways if archive.endswith(".rar") or not name.startswith(("rarfile", "unrar"))]
        for turn in range(bench.repeats):
            kept = {}
            for name in reads:
                way, arguments = ways[name]
                before = part.medians(name)
                if name in over or (turn and before.get(what, 0) > 60):  # once is enough for what takes minutes
                    continue
                answer = bench.run(way, archive=archive, work=bench.folder("cleaned"), **arguments)
                if "left_out" in answer:
                    part.note(f"{name}, {what}: {answer['left_out']}.")
                    over.add(name)
                    continue
                part.add(what, name, "s", answer["process_seconds"])
                part.add(what, name, "MB", answer["peak_mb"])
                kept[name] = (answer["kept"], answer["count"])
            _agree(part, f"{what}: the photographs kept, by SHA-256,", kept)
        for name in reads[1:]:
            part.compare(what, "ours", name)
            if part.medians(name).get(what, 0) > 20:
                over.add(name)  # a solid archive unpacked once for each member: twice the members, four times as long
    part.note("ours also hashes every file, looks for near duplicates, writes a ledger and reads its zip back.")


def _archives(bench: Bench, part: Part) -> dict[str, str]:
    """Returns the archives to clean by what they hold: solid ones, and one of the size of Kaggle's ASL Alphabet."""
    if bench.options.archive:
        return {bench.options.archive.name: str(bench.options.archive)}
    archives = {}
    if shutil.which("rar"):
        sizes = (50, 100) if bench.quick else (500, 2000, 5000)
        archives = {f"{size:,} in a solid RAR": bench.solid_archive(size) for size in sizes}
    else:
        part.note(
            "Solid archives left out: only the proprietary program rar makes them. Get it (Debian: apt-get install "
            "rar, section non-free; or rarlab.com), or pass a solid archive with --archive."
        )
    size = 58 if bench.quick else 87_000
    return archives | {f"{size:,} of 200×200 in a ZIP": bench.zipped_archive(size)}


def _agree(part: Part, what: str, answers: dict[str, object]) -> None:
    if len(answers) > 1:
        part.note(
            f"{what} are {'the same' if len({str(a) for a in answers.values()}) == 1 else 'DIFFERENT'} in all ways."
        )


def screening(bench: Bench, part: Part) -> None:
    """A folder of photographs: how fast each way looks through it, and what it finds once some are damaged."""
    count, every = (100, 10) if bench.quick else (2000, 50)
    photos = bench.folder("screened")
    bench.run("draw_photographs", folder=photos, count=count)
    vision = {"python": str(bench.options.cleanvision_python or sys.executable)}
    duplicates = ["exact_duplicates", "near_duplicates"]
    ways = {
        "ours": ("screen_ours", {}),
        "Pillow verify": ("screen_pillow", {"method": "verify"}),
        "Pillow load": ("screen_pillow", {"method": "load"}),
        "cleanvision, duplicates only": ("screen_cleanvision", {"issues": duplicates, **vision}),
        "cleanvision, all its checks": ("screen_cleanvision", {"issues": [], **vision}),
    }
    for _ in range(bench.repeats):
        for name, (way, arguments) in ways.items():
            answer = bench.run(way, folder=photos, **arguments)
            if "left_out" in answer:
                part.note(f"{name}: {answer['left_out']}.")
                continue
            part.add(f"{count} files", name, "s", answer["seconds"])
    for name in list(ways)[1:]:
        part.compare(f"{count} files", name, "ours")
    damaged = bench.run("damage", folder=photos, every=every)["damaged"]
    for name, (way, arguments) in ways.items():
        try:
            found = bench.run(way, folder=photos, **arguments).get("found")
        except Failed as failure:
            part.note(f"{name}, {damaged} of them damaged: {failure}.")
            continue
        part.add(f"{damaged} of them damaged", name, "found", found)
    part.note("ours also hashes every file and looks for exact and near duplicates, as cleanvision does.")


def phase1(bench: Bench, part: Part) -> None:
    """The head on a frozen ResNet50V2."""
    epochs = 2 if bench.quick else 10
    common = {"trainable": "head", "epochs": epochs, "rate": 1e-3}
    ours = {"cache": True, "views": 3, "augment": False, **common}
    plain = {"jit": "auto", "augment": False, **common}
    same = {
        "plain": ("train_plain", {}, plain),
        "ours": ("train_ours", {}, ours),
        "ours without cached features": ("train_ours", {}, {**ours, "cache": False}),
    }
    _train(bench, part, f"{epochs} epochs", same, equal=("plain", "ours"))
    varied = {
        "plain": ("train_plain", {}, {**plain, "augment": True}),
        "ours": ("train_ours", {}, {**ours, "augment": True}),
    }
    _train(bench, part, f"{epochs} epochs, augmented", varied)
    part.note(
        "augmented: the plain recipe varies every image anew in each epoch, ours goes round three prepared views of "
        "each, so that accuracies may differ."
    )
    if not bench.quick:
        narrow = {
            "plain": ("train_plain", AVX2_DEFAULT, plain),
            "plain with oneDNN": ("train_plain", {**AVX2, "TF_ENABLE_ONEDNN_OPTS": "1"}, plain),
            "ours": ("train_ours", AVX2, ours),
        }
        _train(bench, part, f"{epochs} epochs, held to AVX2", narrow, equal=("plain with oneDNN", "ours"), env=AVX2)


def phase2(bench: Bench, part: Part) -> None:
    """The base too, its BatchNormalization frozen."""
    epochs = 2 if bench.quick else 3
    plain = {"trainable": "all", "epochs": epochs, "rate": 1e-4, "jit": "auto", "augment": False}
    ours = {"trainable": "all", "epochs": epochs, "rate": 1e-4, "cache": True, "views": 1, "augment": False}
    whole = {"plain": ("train_plain", {}, plain), "ours": ("train_ours", {}, ours)}
    _train(bench, part, f"whole base, {epochs} epochs", whole, equal=("plain", "ours"))
    if not bench.quick:
        narrow = {
            "plain": ("train_plain", AVX2_DEFAULT, plain),
            "plain with oneDNN": ("train_plain", {**AVX2, "TF_ENABLE_ONEDNN_OPTS": "1"}, plain),
            "plain with jit_compile=True": ("train_plain", AVX2_DEFAULT, {**plain, "jit": True}),
            "ours": ("train_ours", AVX2, ours),
        }
        what = f"whole base, {epochs} epochs, held to AVX2"
        _train(bench, part, what, narrow, equal=("plain with oneDNN", "ours"), env=AVX2)
    top = {"trainable": f"top:{LAST_STAGE}"}
    stage = {
        "plain": ("train_plain", {}, {**plain, **top}),
        "ours": ("train_ours", {}, {**ours, **top}),
        "ours without cached stage": ("train_ours", {}, {**ours, **top, "cache": False}),
    }
    _train(bench, part, f"last stage, {epochs} epochs", stage, equal=("plain", "ours"))
    part.note(
        "held to AVX2: oneDNN and XLA are told to use no wider instructions, and the plain recipe runs without oneDNN: "
        "what TensorFlow does by itself on a processor without AVX-512. Other kernels round otherwise, and Adam makes "
        "much of it, so weights are compared between ways of the same kernels."
    )


def _train(
    bench: Bench,
    part: Part,
    what: str,
    ways: dict,
    equal: tuple[str, str] | None = None,
    env: dict[str, str] | None = None,
) -> None:
    """Runs the ways by turns from one start, and compares the weights of the two that compute with the same kernels."""
    work = bench.training_data(env)
    for turn in range(bench.repeats):
        for name, (way, switches, arguments) in ways.items():
            answer = bench.run(way, env=switches, work=work, out=f"{name}.npz", **arguments)
            if "left_out" in answer:
                part.note(f"{name}, {what}: {answer['left_out']}.")
                return
            part.add(what, name, "s", answer["seconds"])
            part.add(what, name, PER_EPOCH, median(answer["epoch_seconds"]))
            part.add(what, name, CPU_PER_EPOCH, median(answer["epoch_cpu_seconds"]))
            if not turn:
                part.add(what, name, "validation accuracy", answer["val_accuracy"])
                part.add(what, name, "training loss at the end", answer["loss"][-1])
        if equal and not turn:
            files = {"one": f"{equal[0]}.npz", "other": f"{equal[1]}.npz", "start": "initial-plain.npz"}
            gap = bench.run("largest_difference", work=work, **files)
            part.add(what, " and ".join(equal), "largest ΔW between them", gap["difference"])
            part.add(what, equal[0], "largest ΔW by training", gap["change"])
    for name in ways:
        if name != "ours":
            # Where the whole base is frozen, all the work lies before the first epoch: a later one proves nothing.
            is_head = ways["ours"][2]["trainable"] == "head"
            for unit in ("s",) if is_head else ("s", PER_EPOCH, CPU_PER_EPOCH):
                part.compare(what, name, "ours", unit)
    part.note(
        "s are those of the whole phase: the first epoch also compiles, and ours computes cached features before it. "
        "CPU s hardly depend on what else the machine does."
    )


def memory(bench: Bench, part: Part) -> None:
    """The most that a way, or a program it started, held at once, in one run of each; see cleaning, too."""
    for what, picture in bench.large_pictures().items():
        answer = bench.run("clean_ours", archive=picture, work=bench.folder("cleaned"))
        part.add(f"cleaning {what}", "ours", "MB", answer["peak_mb"])
    for phase, trainable in (("phase 1", "head"), ("phase 2", "all")):
        common = {"work": bench.training_data(), "trainable": trainable, "epochs": 2, "rate": 1e-4, "augment": False}
        plain = bench.run("train_plain", jit="auto", out="plain.npz", **common)
        ours = bench.run("train_ours", cache=True, views=1, out="ours.npz", **common)
        part.add(phase, "plain", "MB", plain.get("peak_mb"))
        part.add(phase, "ours", "MB", ours.get("peak_mb"))


def imports(bench: Bench, part: Part) -> None:
    """Start of a fresh interpreter that imports the package, less that of one that imports nothing."""
    for _ in range(3 * bench.repeats):
        bare = _start("-c", "pass")
        part.add("start", "bare interpreter", "s", bare)
        part.add("import casestudy", "over the bare interpreter", "s", _start("-c", "import casestudy") - bare)
        part.add("import numpy", "over the bare interpreter", "s", _start("-c", "import numpy") - bare)
        part.add("casestudy --help", "over the bare interpreter", "s", _start("-m", "casestudy", "--help") - bare)


def _start(*arguments: str) -> float:
    """Returns the seconds that a fresh interpreter takes."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


PARTS = {
    "cleaning": cleaning,
    "screening": screening,
    "phase1": phase1,
    "phase2": phase2,
    "memory": memory,
    "import": imports,
}
