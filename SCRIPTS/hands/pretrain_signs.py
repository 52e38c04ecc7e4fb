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

from casestudy.cleaning import CommandParser
from casestudy.errors import CaseStudyError
from casestudy.files import atomic_path
from SCRIPTS.articles.writing import ARTICLES, read_json, replaced, write_text
from SCRIPTS.release.environment import ROOT

CARD = ROOT / "DATA" / "weights" / "README.md"
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


def publish(folder: Path) -> None:
    """Takes the weights in `folder` into the checkout: file, report, learning curve, card and pinned SHA-256."""
    from SCRIPTS.hands.pretrain_training import CURVE, REPORT, SMOKE, WEIGHTS

    report = read_json(folder / REPORT)
    if report["steps"] <= SMOKE.steps:
        sys.exit(f"Published weights come from a whole training; {folder} holds {report['steps']} steps. Train first.")
    for name, target in ((WEIGHTS, CARD.parent / WEIGHTS), (REPORT, CARD.parent / REPORT),
                         (CURVE, ARTICLES / "pretrain_signs.png")):  # fmt: skip
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
    training.draw_curve(progress, args.out / training.CURVE)
    losses = [row["value"] for row in progress.history if row["metric"] == "loss"]
    print(json.dumps(report["held_out"]), json.dumps(report["file"]))
    if args.smoke and not losses[-1] < losses[0]:
        sys.exit(f"The loss must fall; it went from {losses[0]:.3f} to {losses[-1]:.3f}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
