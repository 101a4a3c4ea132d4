"""A person's own training script, small: it is copied into a repository of a test and started as any command is.

python train.py MODE [WORDS ...]
"""

SCRIPT = """\
import json, os, sys
from pathlib import Path

STEP = 1
out, mode = Path(os.environ["ONEHOUR_RUN_DIR"]), sys.argv[1]
names = ("ONEHOUR_RUN_ID", "ONEHOUR_DATA_DIR", "ONEHOUR_TIME_LIMIT_S", "PATH", "PWD")
told = {name: value for name, value in os.environ.items() if name in names or name.startswith("WANDB_")}
(out / "told.json").write_text(json.dumps({"argv": sys.argv[1:], "environment": told, "cwd": os.getcwd()}))


def row(**values):
    with (out / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(values) + "\\n")


if mode == "resume" and not (out / "metrics.jsonl").exists():
    row(**{"epoch": 1, "valid/map5": 0.25, "progress": 0.5})
    sys.exit(75)
if mode == "nothing":
    sys.exit(0)
if mode == "refuse":
    sys.exit("the learning rate is too high")
if mode == "broken":
    (out / "result.json").write_text('{"cv": "high"}')
    sys.exit(0)
for epoch in (1, 2):
    row(**{"epoch": epoch, "valid/map5": 0.25 * epoch * STEP, "progress": epoch / 2})
if mode == "rows":
    sys.exit(0)
(out / "submission.csv").write_text("Image,Id\\nb.jpg,w_1\\n")
data = Path("data.txt").read_text() if Path("data.txt").exists() else ""
(out / "result.json").write_text(json.dumps({"cv": 0.5 * STEP, "folds": [0.25 * STEP, 0.75 * STEP], "notes": [data] if data else []}))
"""
