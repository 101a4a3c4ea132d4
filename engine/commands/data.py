"""python -m engine sample | check | sightings | sheet | folds | cache: the data, before anything is trained on it."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.check_folder import CheckFolder
from engine.commands.asked import asked_spec, data_spec, refuse_unwritable, runs_dir
from engine.contract import EXIT_OK

app = typer.Typer()


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

    spec = data_spec(data, overrides)
    folder = CheckFolder(out) if out else CheckFolder.of_data(data, runs_dir())
    with logged_to([logging.StreamHandler(sys.stderr)]):
        checks = check_data(spec, folder)
    for one in checks.checks:
        print(f"{one.verdict:<8} {one.name}: {one.sentence}")
        if one.verdict != "ok" and one.examples:
            print(f"{'':<8} {one.first_examples()}")
    print(folder.path)
    return EXIT_OK


@app.command()
def sightings(
    data: Annotated[Path, typer.Argument(metavar="DATA_DIR", help="folder of the competition's data")],
    out: Annotated[
        Path, typer.Option(metavar="CSV", help="the label file with a column sighting; set data.labels to it")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="sets one key, for example data.boxes=boxes.csv"),
    ] = None,
) -> int:
    """Propose which images of a label are of one sighting, because they show the same background."""
    refuse_unwritable(out.parent)
    from engine.checks.sightings import COLUMN, propose_sightings
    from engine.training.workplace import logged_to

    with logged_to([logging.StreamHandler(sys.stderr)]):
        made = propose_sightings(data_spec(data, overrides), out)
    for note in made.notes:
        print(note)
    if made.pairs:
        print(f"look at the least certain pairs in {made.sheet}")
    print(f"{out}: train with --set data.labels={out.resolve()} --set data.sightings_col={COLUMN}")
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

    resolved, _ = asked_spec(spec, preset, data, overrides, "sheet --preset cpu-transfer --data DIR")
    folder = CheckFolder(out) if out else CheckFolder.of_data(Path(resolved.data.dir), runs_dir())
    made = augmented_sheet(resolved, folder)
    print(
        f"invented beyond the border: mean {made.border_share_mean:.1%}, most {made.border_share_max:.1%} of an image "
        f"({made.draws} draws of {made.images} images)"
    )
    print(folder.augmented_jpg)
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
    found = outlook(labels, data_spec(labels.parent, overrides, named), count, minimum)
    print(json.dumps(dataclasses.asdict(found)) if as_json else found)
    return EXIT_OK


@app.command()
def cache(clear: Annotated[bool, typer.Option("--clear", help="remove everything in it")] = False) -> int:
    """Say where decoded images, and points found in them, are kept for later runs, and how much disk they take."""
    from engine.data.cache_room import cache_dir, cache_size, clear_cache

    if clear:
        print(f"{cache_dir()}: {clear_cache() / 1e6:,.0f} MB removed")
        return EXIT_OK
    sets, held = cache_size()
    print(f"{cache_dir()}: {sets} {'set' if sets == 1 else 'sets'}, {held / 1e6:,.0f} MB")
    return EXIT_OK
