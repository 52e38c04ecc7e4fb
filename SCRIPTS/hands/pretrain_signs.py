"""Pretrains ResNet50V2 on drawn hands and writes the weights that `weights="signs"` loads.

    python -m SCRIPTS.hands.pretrain_signs --out FOLDER            draw, train, write the weights; 1.5 hours on 2 cores
    python -m SCRIPTS.hands.pretrain_signs --out FOLDER --export   write the weights from the last checkpoint again
    python -m SCRIPTS.hands.pretrain_signs --out FOLDER --publish  take them into DATA/weights, with card and SHA-256
    python -m SCRIPTS.hands.pretrain_signs --smoke                 a few steps of everything, in under a minute

Stopped at any point, the same command goes on from its last checkpoint. The network learns to name the letter and, at
the same time, to say how the hand is held (pretrain_images.POSE numbers): poses between two letters have no name but
teach the second. Pictures grow from stage to stage, because small ones teach the coarse things at a tenth of the price.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from casestudy.cleaning import CommandParser
from casestudy.errors import CaseStudyError
from casestudy.files import atomic_path
from SCRIPTS.articles.stamps import KEY, Picture, stamp
from SCRIPTS.articles.writing import ARTICLES, read_json, replaced, write_text
from SCRIPTS.release.environment import ROOT

CARD = ROOT / "DATA" / "weights" / "README.md"
CARDS_CURVE = ARTICLES / "pretrain_signs.png"
BEGIN, END = "<!-- pretraining:start -->", "<!-- pretraining:end -->"
PINS = ROOT / "casestudy" / "models" / "weights.py"


def table(report: dict) -> str:
    """The model card's table in Markdown, every number from the training's own report."""
    plan, held_out = report["plan"], report["held_out"]
    stages = ", ".join(f"{side} px for {count:,} steps" for side, count in plan["stages"])
    accuracy, pose = (
        " and ".join(f"{held_out[kind][name]:{how}} ({kind})" for kind in ("float32", "int8"))
        for name, how in (("held_out_accuracy", ".1%"), ("held_out_pose_loss", ".4f"))
    )
    rows = {
        "hands drawn, each of a signer of its own": f"{plan['hands']:,}, before {plan['places']:,} places",
        "pictures seen": f"{report['images']:,} in batches of {plan['batch']}: {stages}",
        "time": f"{report['training_seconds'] / 60:.0f} minutes of training, after the drawing",
        "letters of signers never drawn for training": f"{accuracy}; {plan['held_out_images']:,} pictures with all the "
        "trouble there is",
        "pose of the same, mean squared error": pose,
        "file": f"{report['file']['bytes'] / 1e6:.1f} MB, SHA-256 `{report['file']['sha256']}`",
    }
    return "\n".join(["| what | figure |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def draw_curve(report: dict) -> Figure:
    """Returns loss and accuracy over the steps; dashed lines where the pictures grow."""
    rows = pd.DataFrame(report["history"])
    table = rows.pivot_table(index="epoch", columns="metric", values="value")
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(table.index, table["letter_loss"], label="letter: cross-entropy")
    left.plot(table.index, table["pose_loss"], label="pose: mean squared error")
    left.set(xlabel="step", ylabel="loss while training", ylim=(0, None))
    right.plot(table.index, table["accuracy"], label="training pictures")
    right.plot(table.index, table["held_out_accuracy"], label="signers never drawn before")
    right.set(xlabel="step", ylabel="accuracy, 26 letters", ylim=(0, 1))
    for axes in (left, right):
        axes.legend(frameon=False)
        for side, last in rows.groupby("phase", sort=False)["epoch"].max().items():
            axes.axvline(last, color="0.8", linestyle="--", linewidth=1, zorder=0)
            axes.annotate(side, (last, 1.02), xycoords=("data", "axes fraction"), ha="right", color="0.4", fontsize=8)
    return figure


# The learning curve on the card. pretraining.json has its history from the next training on; today's was not kept.
PICTURE = Picture(
    "python -m SCRIPTS.hands.pretrain_signs --out FOLDER --export, and the same with --publish",
    draw_curve,
    lambda: read_json(CARD.parent / "pretraining.json"),
)


def publish(folder: Path) -> None:
    """Takes the weights in `folder` into the checkout: file, report, learning curve, card and pinned SHA-256."""
    from SCRIPTS.hands.pretrain_training import CURVE, REPORT, SMOKE, WEIGHTS

    report = read_json(folder / REPORT)
    if report["steps"] <= SMOKE.steps:
        sys.exit(f"Published weights come from a whole training; {folder} holds {report['steps']} steps. Train first.")
    for name, target in ((WEIGHTS, CARD.parent / WEIGHTS), (REPORT, CARD.parent / REPORT),
                         (CURVE, ARTICLES / CARDS_CURVE.name)):  # fmt: skip
        with atomic_path(target) as partial:
            shutil.copyfile(folder / name, partial)
    write_text(CARD, replaced(CARD.read_text(encoding="utf-8"), table(report), BEGIN, END))
    pinned = rf'\g<1>"{report["file"]["sha256"]}"'
    write_text(PINS, re.sub(r'(?m)^(SIGNS_SHA256 = )"[0-9a-f]{64}"', pinned, PINS.read_text(encoding="utf-8")))


def main(argv: list[str] | None = None) -> int:
    parser = CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder for drawn hands, checkpoints, log and weights (4 GB)")
    parser.add_argument("--smoke", action="store_true", help="a few steps of everything, to see that it works")
    parser.add_argument("--export", action="store_true", help="only write the weights file from the last checkpoint")
    parser.add_argument("--publish", action="store_true", help="only take what --out holds into DATA/weights")
    parser.add_argument("--precision", default="float32", choices=["float32", "mixed_bfloat16"],
                        help="mixed_bfloat16 is faster on processors with AVX512-BF16 and on GPUs")  # fmt: skip
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that draw")
    args = parser.parse_args(argv)
    if args.out is None and not args.smoke:
        parser.error("name a folder with --out (or try --smoke)")
    if args.smoke and args.out is None:
        with tempfile.TemporaryDirectory() as scratch:
            return main(["--smoke", "--out", scratch])
    if args.publish:
        publish(args.out)
        return 0
    args.out.mkdir(parents=True, exist_ok=True)

    from SCRIPTS.hands import pretrain_training as training  # TensorFlow is loaded only now

    plan = training.SMOKE if args.smoke else training.Plan(precision=args.precision)
    try:
        reach = training.trained if args.export else training.train
        model, progress = reach(plan, args.out, args.workers)
    except KeyboardInterrupt:
        sys.exit("\nStopped. The same command goes on from the last checkpoint.")
    except CaseStudyError as error:
        sys.exit(f"pretrain_signs: {error}")
    report = training.export(plan, args.out, model, progress)
    with atomic_path(args.out / training.CURVE) as partial:
        draw_curve(report).savefig(partial, format="png", dpi=120, metadata={KEY: stamp(report, draw_curve)})
    losses = [row["value"] for row in progress.history if row["metric"] == "loss"]
    print(json.dumps(report["held_out"]), json.dumps(report["file"]))
    if args.smoke and not losses[-1] < losses[0]:
        sys.exit(f"The loss must fall; it went from {losses[0]:.3f} to {losses[-1]:.3f}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
