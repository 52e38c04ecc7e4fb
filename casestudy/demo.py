"""Run in, one page out that reads pictures in a browser: its own hand localiser, its own network, and no connection."""

from __future__ import annotations

import base64
import hashlib
import math
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from casestudy.errors import DataError, RunError
from casestudy.files import file_digest, find_in_checkout, write_text
from casestudy.listing import list_network
from casestudy.report import interval, page, source
from casestudy.runs import RunFolder
from casestudy.words import counted, percent

# What runs the networks, from npm (@tensorflow/tfjs-core, @tensorflow/tfjs-backend-wasm), and the licences of it all.
HOME, VERSION = Path("DATA") / "web", "4.22.0"
ENGINE = {
    "tf-core.es2017.min.js": "c55367325aa628ed685164d5c4210892e31c6d2d0e8c163a827b15ad330d1eba",
    "tf-backend-wasm.es2017.min.js": "bdd8c3c1fb0b37601bc2a122efa20b8d78e2936d104b03a44591be4188c63f65",
    "tfjs-backend-wasm-simd.wasm": "77ebb28a6d34f371dbbf2086b7f2de8994acd8ea5a3cf1fa24d2c26c840cac7b",
    "LICENSE": "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
    "NOTICES": "9a5036484c4195a9591a1f5651996f82cfea12dbb03be418de87f7bcbc2f9832",
}


def write_demo(run: RunFolder, target: Path) -> Path:
    """Returns the page's path, which must be new: it opens from the disk, and reads what a camera or a file shows.

    A picture is cut and resized as `read_photographs` does it; kernels are rounded as `listing` says.

    Raises:
        RunError: The page is there already; or the run has no results, or a model for each person left out.
        DataError: The network has a layer that a page cannot run, or the files that run it are not here, whole.
    """
    if target.exists():
        raise RunError(f"A page is never overwritten; {target} is there already. Name another with --out.")
    evaluation = run.evaluation()
    if not run.has("model.keras"):
        raise RunError(
            f"A page carries one model; {run.path} has one for each person left out. Make a run that has one: "
            f"casestudy run --split signer --out FOLDER"
        )
    core, backend, wasm, *licences = (_engine(name) for name in ENGINE)
    path, about = run.reader()
    localiser = about.sight.localiser()
    if about.crop_margin is not None and localiser is None:
        raise DataError("Looking for hands needs DATA/weights of a checkout, whole. Work in one, or restore it there.")
    from casestudy.models import load_model  # only now: what is lacking is said before TensorFlow is loaded

    operations, numbers = list_network(load_model(path)).packed()
    facts = {
        "labels": about.labels,
        "size": about.image_size,
        "channels": about.channels,
        "margin": about.crop_margin,
        "calibration": about.calibration and about.calibration.to_json(),
        "model": operations,
    }
    data = {"engine": wasm, "model": numbers}
    if localiser:
        listed, data["hand"] = localiser.listed().packed()
        facts["hand"] = {"network": listed, **localiser.facts}
    scripts = (code.decode().rpartition("\n//# sourceMappingURL=")[0] for code in (core, backend))
    script = Markup("\n").join([*map(Markup, scripts), source("demo.js")])
    study, record = run.record.wishes.study, run.record
    text = page(
        "demo.html",
        study=study,
        record=record,
        known=run.provenance(),
        about=about,
        letters=study.crop != "none",
        headline=f"The run read {percent(evaluation.accuracy)} of {counted(len(evaluation.predictions), 'photograph')} "
        f"of its test; {evaluation.sure.sentence}.",
        label=_worst(evaluation.per_label, "label"),
        person=_worst(evaluation.per_signer, "signer"),
        facts=facts,
        data={name: Markup(base64.b64encode(one).decode()) for name, one in data.items()},
        version=VERSION,
        licence="\n\n".join(text.decode() for text in licences),
        style=source("report.css") + source("demo.css"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    write_text(target, text)
    return target


def _engine(name: str) -> bytes:
    """Returns a file of what runs the networks, which must be the published one."""
    file, place = find_in_checkout(HOME / name), (HOME / name).as_posix()
    if file is None:
        raise DataError(f"A page is made with {place} of a checkout; none is here. Work in a checkout of this project.")
    if file_digest(file) != ENGINE[name]:
        raise DataError(f"{file} is not the published file. Restore it: git checkout -- {place}")
    return file.read_bytes()


def _worst(table: pd.DataFrame, column: str) -> str:
    """Returns which label or signer the run read worst, in words; "" where nobody is known."""
    rows = table[table["support"] > 0].sort_values(["accuracy", column])
    if len(rows) < 2:
        return ""
    row = rows.iloc[0]
    what = {"label": "Of the labels,", "signer": "Of the people,"}[column]
    said = f"{what} {row[column]} was read worst: {percent(row['accuracy'])} of {counted(row['support'], 'photograph')}"
    ends = interval((row["low"], row["high"]), " to ")
    said += "" if math.isnan(row["low"]) else f" (95 % interval {ends})"
    other = row.get("most_confused_with")
    return f"{said}, most often taken for {other}." if isinstance(other, str) and other else f"{said}."
