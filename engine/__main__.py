"""The engine's command line.

python -m engine sample DIR [--seed N]
python -m engine check DATA_DIR [--out DIR] [--set data.key=value ...]
python -m engine sheet SPEC.yaml|--preset NAME [--data DIR] [--out DIR] [--set key=value ...]
python -m engine boxes train DATA_DIR --boxes CSV --out DIR [--minutes M] [--set data.key=value ...]
python -m engine boxes apply DATA_DIR --model DIR --out CSV [--set data.key=value ...]
python -m engine train SPEC.yaml --out RUN_DIR [--set key=value ...] [--time-limit SECONDS] [--gpus N]
python -m engine train --preset NAME --data DIR --out RUN_DIR [--set key=value ...]
python -m engine lr-find SPEC.yaml|--preset NAME [--data DIR] --out FILE.png [--set key=value ...]
python -m engine folds LABELS.csv [--image-col Image --label-col Id --unknown-label new_whale --folds 5 --minimum 20] [--json]
python -m engine score --metric map5 --truth CSV --predictions CSV [--json]
python -m engine blend RUN_DIR RUN_DIR ... --out RUN_DIR [--spec SPEC.yaml | --preset NAME] [--set key=value ...]
python -m engine cache [--clear]

Exit codes: 0 fine, 1 our bug, 2 bad input, 75 stopped before the time limit (start the same command again), 130 interrupted.
Each command imports what it needs when it runs: `score` must not wait for torch.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.check_folder import CheckFolder
from engine.contract import (
    EXIT_BAD_INPUT,
    EXIT_INTERRUPTED,
    EXIT_OK,
    OVERRIDDEN,
    DataSpec,
    OnehourError,
    RunSpec,
    blend_preset_path,
    parse_overrides,
    preset_path,
    read_blend_spec,
    read_spec,
    spec_from_mapping,
)
from engine.run_folder import RunFolder

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Onehour's training engine.")


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="folder to draw into; absent or empty")],
    seed: Annotated[int, typer.Option(help="the same seed draws the same competition")] = 0,
) -> int:
    """Draw a small sample competition of whale flukes, with the truth of its test part."""
    from engine.data.sample import draw_sample

    drawn = draw_sample(folder, seed)
    print(f"{folder}: {drawn.train} training images of {drawn.ids} ids and new_whale, {drawn.test} test images")
    return EXIT_OK


@app.command()
def check(
    data: Annotated[Path, typer.Argument(metavar="DATA_DIR", help="folder of the competition's data")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="folder of the check; the same again reads only new images")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="sets one key, for example data.image_col=file"),
    ] = None,
) -> int:
    """Decode every image and tell what is wrong, odd or twice there; writes facts, sheets and checks.json."""
    from engine.checks.report import check as check_data
    from engine.training.workplace import logged_to

    spec = _data_spec(data, overrides)
    folder = CheckFolder(out) if out else CheckFolder.of_data(data, _runs_dir())
    with logged_to([logging.StreamHandler(sys.stderr)]):
        checks = check_data(spec, folder)
    for one in checks.checks:
        print(f"{one.verdict:<8} {one.name}: {one.sentence}")
    print(folder.path)
    return EXIT_OK


@app.command()
def sheet(
    spec: Annotated[Path | None, typer.Argument(metavar="SPEC.yaml", help="whose augmentation")] = None,
    preset: Annotated[str | None, typer.Option(help="name of a preset instead of a spec file")] = None,
    data: Annotated[Path | None, typer.Option(help="folder of the competition's data; sets data.dir")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="folder for augmented.jpg and augmented.json")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="sets one key")] = None,
) -> int:
    """Show originals beside augmented images, and measure how much of them augmentation invents beyond the border."""
    from engine.checks.augmented import augmented_sheet

    resolved, _ = _asked(spec, preset, data, overrides, "sheet --preset cpu-transfer --data DIR")
    folder = CheckFolder(out) if out else CheckFolder.of_data(Path(resolved.data.dir), _runs_dir())
    made = augmented_sheet(resolved, folder)
    print(
        f"invented beyond the border: mean {made.border_share_mean:.1%}, most {made.border_share_max:.1%} of an image "
        f"({made.draws} draws of {made.images} images)"
    )
    print(folder.augmented_jpg)
    return EXIT_OK


@app.command()
def train(
    out: Annotated[Path, typer.Option(metavar="RUN_DIR", help="folder of the run; the same spec again resumes it")],
    spec: Annotated[Path | None, typer.Argument(metavar="SPEC.yaml", help="what to run")] = None,
    preset: Annotated[str | None, typer.Option(help="name of a preset instead of a spec file")] = None,
    data: Annotated[Path | None, typer.Option(help="folder of the competition's data; sets data.dir")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="sets one key")] = None,
    time_limit: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0, help="stop in good order before it, with exit code 75")
    ] = None,
    gpus: Annotated[int, typer.Option(min=1, help="GPUs of this machine that train a fold together")] = 1,
) -> int:
    """Train all folds of a spec, predict, choose the threshold, write the submission and the result."""
    resolved, asked = _asked(spec, preset, data, overrides, "train --preset cpu-transfer --data DIR")
    path = spec if spec is not None else preset_path(preset or "")
    spec_text = path.read_text(encoding="utf-8")
    if asked:
        spec_text = spec_text.rstrip("\n") + "\n# Laid over it on the command line:\n"
        spec_text += "".join(f"# {key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in asked.items())

    from engine.training.crew import refuse_absent
    from engine.training.run import train as train_spec
    from engine.training.stop import process_started

    refuse_absent(gpus)
    return train_spec(resolved, RunFolder(out), spec_text, time_limit, gpus, process_started())


@app.command("lr-find")
def lr_find(
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="plot; the curve goes beside it as JSON")],
    spec: Annotated[Path | None, typer.Argument(metavar="SPEC.yaml", help="what would be run")] = None,
    preset: Annotated[str | None, typer.Option(help="name of a preset instead of a spec file")] = None,
    data: Annotated[Path | None, typer.Option(help="folder of the competition's data; sets data.dir")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="sets one key")] = None,
) -> int:
    """Train a hundred batches with a growing learning rate, plot the loss over it and suggest a rate for stages.lr."""
    resolved, _ = _asked(spec, preset, data, overrides, "lr-find --preset cpu-transfer --data DIR --out lr.png")

    from engine.training.lr_find import lr_find as find

    print(f"suggested rate of the head: {find(resolved, out, _runs_dir()).suggested:.2g}; {out}")
    return EXIT_OK


@app.command()
def folds(
    labels: Annotated[Path, typer.Argument(metavar="LABELS.csv", help="one row a training image")],
    image_col: Annotated[str, typer.Option(help="column of the image's file name")] = "Image",
    label_col: Annotated[str, typer.Option(help="column of the label")] = "Id",
    unknown_label: Annotated[
        str, typer.Option(help='label that means: none of the known ones; "" for none')
    ] = "new_whale",
    count: Annotated[int, typer.Option("--folds", min=2, help="number of folds")] = 5,
    minimum: Annotated[int, typer.Option(min=1, help="images a label should have an epoch (balance_to)")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="sets one key, for example data.sightings_col=burst"),
    ] = None,
) -> int:
    """Show the folds that a label file leads to and what balancing its rare labels costs, before there are images."""
    from engine.data.outlook import outlook

    named = {"image_col": image_col, "label_col": label_col, "unknown_label": unknown_label or None}
    found = outlook(labels, _data_spec(labels.parent, overrides, named), count, minimum)
    print(json.dumps(dataclasses.asdict(found)) if as_json else found)
    return EXIT_OK


@app.command()
def score(
    truth: Annotated[Path, typer.Option(metavar="CSV", help="Image,Id and maybe Usage (public or private)")],
    predictions: Annotated[
        Path,
        typer.Option(metavar="CSV", help="Image,Id with labels separated by spaces, a number, or a column a label"),
    ],
    metric: Annotated[str, typer.Option(help="name of the metric")] = "map5",
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,
) -> int:
    """Score predictions against the truth, as the leaderboard would."""
    from engine.inference.score import score_files

    scores = score_files(metric, truth, predictions)
    if as_json:
        print(json.dumps(dataclasses.asdict(scores)))
        return EXIT_OK
    for part, value in (("public", scores.public), ("private", scores.private), ("all", scores.all)):
        if value is not None:
            print(f"{part:<8}{value:.6f}")
    return EXIT_OK


boxes_app = typer.Typer(
    no_args_is_help=True, help="Find the animal in each image, to cut training and test images alike."
)
app.add_typer(boxes_app, name="boxes")


@boxes_app.command("train")
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
    from engine.boxes.train import REPORT, SHEET, train_boxes

    report = train_boxes(_data_spec(data, overrides), boxes, out, minutes, say=print)
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


@boxes_app.command("apply")
def boxes_apply(
    data: Annotated[Path, typer.Argument(metavar="DATA_DIR", help="folder with train/ and test/")],
    model: Annotated[Path, typer.Option(metavar="DIR", help="folder that boxes train wrote")],
    out: Annotated[Path, typer.Option(metavar="CSV", help="boxes of all images; set data.boxes to it")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="sets one key, for example data.train_images=pictures"),
    ] = None,
) -> int:
    """Find a box in every training and test image, and show the crops that are least certain."""
    from engine.boxes.apply import apply_boxes

    made = apply_boxes(_data_spec(data, overrides), model, out, say=print)
    for sentence in made.skipped:
        print(f"no box: {sentence}", file=sys.stderr)
    print(made.note)
    print(f"{out}: {len(made.found)} boxes; look at the least certain in {made.sheet}")
    return EXIT_OK


def _data_spec(data: Path, overrides: list[str] | None, named: Mapping[str, Any] | None = None) -> DataSpec:
    """The data that a command line names where it names no spec: by its own options (`named`) and by --set."""
    asked = parse_overrides(overrides or ())
    keys = {"dir": str(data), **(named or {})} | {
        key.removeprefix("data."): asked[key] for key in asked if key.startswith("data.")
    }
    others = {key: asked[key] for key in asked if not key.startswith("data.")}
    return spec_from_mapping({"data": keys, **others}, OVERRIDDEN, asked).data


def _asked(
    spec: Path | None, preset: str | None, data: Path | None, overrides: list[str] | None, example: str
) -> tuple[RunSpec, dict[str, Any]]:
    """The spec that a command line names, and what was laid over it."""
    if (spec is None) == (preset is None):
        raise OnehourError("name either a spec file or a preset", example.split()[0], f"Example: {example}.")
    asked = parse_overrides(overrides or ())
    if data is not None:
        asked["data.dir"] = str(data)
    return read_spec(spec if spec is not None else preset_path(preset or ""), asked), asked


def _runs_dir() -> Path:
    """Where runs, and the checks before them, lie when nobody says otherwise."""
    return Path(os.environ.get("ONEHOUR_HOME") or ".") / "runs"


@app.command()
def cache(clear: Annotated[bool, typer.Option("--clear", help="remove everything in it")] = False) -> int:
    """Say where decoded images are kept for later runs, and how much disk they take."""
    from engine.data.cache_room import cache_dir, cache_size, clear_cache

    if clear:
        print(f"{cache_dir()}: {clear_cache() / 1e6:,.0f} MB removed")
        return EXIT_OK
    sets, held = cache_size()
    print(f"{cache_dir()}: {sets} {'set' if sets == 1 else 'sets'} of images, {held / 1e6:,.0f} MB")
    return EXIT_OK


@app.command()
def blend(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_DIR...", help="finished runs on the same folds")],
    out: Annotated[Path, typer.Option(metavar="RUN_DIR", help="folder of the blend; absent or empty")],
    spec: Annotated[Path | None, typer.Option(metavar="SPEC.yaml", help="how to blend; else the preset blend")] = None,
    preset: Annotated[str | None, typer.Option(help="name of a blend's preset instead of a spec file")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="sets one key: by, weights or families")
    ] = None,
) -> int:
    """Make one run of several finished ones, with its own CV and submission."""
    asked = parse_overrides(overrides or ())
    if spec is not None and preset is not None:
        raise OnehourError("name either a spec file or a preset", "blend", "Or neither, for the preset blend.")
    path = spec if spec is not None else blend_preset_path(preset or "blend")
    how = read_blend_spec(path, asked)

    from engine.blending.blend import blend as blend_runs

    result = blend_runs(runs, RunFolder(out), how)
    print(result.notes[0])
    print(f"CV {result.metric} {result.cv:.4f} over {result.images} images; {RunFolder(out).submission_csv}")
    return EXIT_OK


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code. What a person can mend is one sentence on stderr."""
    command = typer.main.get_command(app)
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:  # what libraries say to their developers; python -W default shows it
                warnings.simplefilter("ignore")
            return command.main(arguments, prog_name="python -m engine", standalone_mode=False) or EXIT_OK
    except OnehourError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except typer.TyperException as error:  # a wrong option or argument
        print(" ".join(error.format_message().split()), file=sys.stderr)
        return EXIT_BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
