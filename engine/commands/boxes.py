"""python -m engine boxes train | apply."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.commands.asked import data_spec, refuse_unwritable
from engine.contract import EXIT_OK

app = typer.Typer(no_args_is_help=True, help="Find the animal in each image, to cut training and test images alike.")


@app.command("train")
def boxes_train(
    data: Annotated[Path, typer.Argument(metavar="DATA_DIR", help="folder with train/ and test/")],
    boxes: Annotated[Path, typer.Option(metavar="CSV", help="image,x0,y0,x1,y1 in pixels, maybe part (train or test)")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder for the model, its report and contact sheet")],
    minutes: Annotated[float, typer.Option(min=0.01, help="longest training time")] = 10.0,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="sets one key, for example data.train_images=pictures"),
    ] = None,
) -> int:
    """Train a box model on drawn boxes, and tell its IoU on boxes held out of training."""
    refuse_unwritable(out)
    from engine.boxes.train import REPORT, SHEET, train_boxes

    report = train_boxes(data_spec(data, overrides), boxes, out, minutes, say=print)
    if report.boxes_without_image:
        print(f"{report.boxes_without_image} boxes name no image below {data}: not used")
    print(f"mean IoU {report.mean_iou:.3f} on {report.held_out} held-out boxes (mean box {report.mean_box_iou:.3f})")
    print(f"the least certain tenth: mean IoU {report.least_certain_iou:.3f}; the worst {report.worst_iou:.3f}")
    for kept in report.kept:
        print(
            f"a crop with {kept.margin:.0%} margin keeps {kept.mean:.1%} of the truth (95 of 100: {kept.p5:.1%} or more)"
        )
    if report.stopped_by_time:
        print(f"stopped after {report.steps} steps by --minutes {minutes:g}; longer may be better")
    print(f"{out / REPORT}, {out / SHEET}")
    return EXIT_OK


@app.command("apply")
def apply(
    data: Annotated[Path, typer.Argument(metavar="DATA_DIR", help="folder with train/ and test/")],
    model: Annotated[Path, typer.Option(metavar="DIR", help="folder that boxes train wrote")],
    out: Annotated[Path, typer.Option(metavar="CSV", help="boxes of all images; set data.boxes to it")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="sets one key, for example data.train_images=pictures"),
    ] = None,
) -> int:
    """Find a box in every training and test image, and show the crops that are least certain."""
    refuse_unwritable(out.parent)
    from engine.boxes.apply import apply_boxes

    made = apply_boxes(data_spec(data, overrides), model, out, say=print)
    for sentence in made.skipped:
        print(f"no box: {sentence}", file=sys.stderr)
    print(made.note)
    print(f"{out}: {len(made.found)} boxes; look at the least certain in {made.sheet}")
    return EXIT_OK
