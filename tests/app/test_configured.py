"""config.toml: which backends this computer knows, and what is wrong in it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from app.jobs import config_file, configured
from app.jobs.backends.settings import seconds
from app.journal.home import Home
from engine.contract import OnehourError

pytestmark = pytest.mark.unit


def write(home: Home, text: str) -> Home:
    home.config_toml.write_text(text, encoding="utf-8")
    return home


def test_without_a_file_there_is_this_computer(home: Home) -> None:
    assert configured.names(home) == ["local"]
    assert configured.open_backend(home, "local").abilities.time_limit_s is None


def test_this_computer_may_have_a_time_limit(home: Home) -> None:
    write(home, '[backends.local]\ntime_limit = "1h 30min"\n')
    assert configured.open_backend(home, "local").abilities.time_limit_s == 5400


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[backends", r"config.toml: it cannot be read \(Expected"),
        ("[backend.local]\n", "unknown key 'backend'. Did you mean 'backends'"),
        ("backends = 3\n", r"backends is no table. Write \[backends.NAME\]"),
        ("[backends]\nlocal = 3\n", "backends.local is no table of settings"),
        ("[backends.local]\ntime_limt = 3\n", "backends.local: unknown key 'time_limt'. Did you mean 'time_limit'"),
        ('[backends.local]\ntime_limit = "soon"\n', "backends.local.time_limit: 'soon' is no duration"),
        ("[backends.local]\ntime_limit = -1\n", "backends.local.time_limit: input should be greater than 0"),
        ("[backends.box]\n", "the kind of backend 'box' is missing"),
        ('[backends.box]\nkind = "sssh"\n', "there is no kind of backend 'sssh'"),
        ('[backends.box]\nkind = "slurm"\ndir = "~/x"\n', "backends.box: dir is of use only with a host"),
        ('[backends.box]\nkind = "slurm"\nhost = "-x"\n', "backends.box.host: string should match pattern"),
        ('[backends.box]\nkind = "slurm"\npartition = "a b"\n', "backends.box.partition: 'a b' is not one word"),
        ('[backends.box]\nkind = "slurm"\ntime = "1h"\n', "unknown key 'time'. Did you mean 'time_limit'"),
        (
            '[backends.box]\nkind = "slurm"\nslots = 0\n',
            "backends.box.slots: input should be greater than or equal to 1",
        ),
        ('[backends.box]\nkind = "local"\n', "the backend 'box' cannot be of kind 'local'"),
        ('[backends."Big Box"]\nkind = "local"\n', "'Big Box' is no name of a backend. Use a to z"),
    ],
)
def test_what_is_wrong_is_named_with_what_would_be_right(home: Home, text: str, sentence: str) -> None:
    write(home, text)
    name = "Big Box" if "Big Box" in text else "box" if "box" in text else "local"
    with pytest.raises(OnehourError, match=sentence):
        configured.settings_of(home, name)


def test_a_broken_file_does_not_keep_this_computer_from_working(home: Home) -> None:
    assert configured.local(write(home, "[[[")).name == "local"


def test_durations_are_read_as_people_write_them() -> None:
    assert [seconds(text) for text in ("90 min", "12h", "1d 6h", "2.5h", "30s")] == [5400, 43200, 108000, 9000, 30]
    assert seconds(7) == 7


SSH = '[backends.box]\nkind = "ssh"\nhost = "box"\nslots = 2\n'


def test_a_machine_behind_ssh_has_its_slots_from_its_settings(home: Home) -> None:
    write(home, SSH + 'time_limit = "12h"\ngrace = "30s"\n')
    backend = configured.open_backend(home, "box")
    assert backend.slots() == ("box/cpu:0", "box/cpu:1")
    assert (backend.abilities.time_limit_s, backend.gpus_of("box/cpu:1")) == (43_200, 0)
    backend = configured.open_backend(write(home, SSH.replace("2", '["cuda:0", "cuda:2"]')), "box")
    assert backend.slots() == ("box/cuda:0", "box/cuda:2")
    assert backend.gpus_of("box/cuda:2") == 1


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("slots = 0", "backends.box.slots: write a list of devices, each once, or a number up to 64"),
        ("slots = []", "backends.box.slots: write a list of devices"),
        ('slots = ["cuda:0", "cuda:0"]', "backends.box.slots: write a list of devices, each once"),
        ('slots = ["gpu"]', "backends.box.slots: 'gpu' is no device: write it as cuda:0 or cpu:0"),
        ('slots = 1\nhost = "-oProxyCommand=x"', "backends.box.host: string should match"),
        ('slots = 1\nhost = "a b"', "backends.box.host: string should match"),
        ('slots = 1\ndir = "relative"', "backends.box.dir: string should match"),
        ('slots = 1\ndir = "/"', "backends.box.dir: string should match"),
        ('slots = 1\ngraze = "1s"', "backends.box: unknown key 'graze'. Did you mean 'grace'"),
        ("", r"backends.box: slots is missing. Set it up with: .*onehour backend setup box"),
    ],
)
def test_wrong_settings_of_a_machine_are_named(home: Home, line: str, sentence: str) -> None:
    host = "" if "host" in line else 'host = "box"\n'
    write(home, f'[backends.box]\nkind = "ssh"\n{host}{line}\n')
    with pytest.raises(OnehourError, match=sentence):
        configured.settings_of(home, "box")


def test_a_command_writes_its_own_table_and_leaves_the_rest_as_it_was(home: Home) -> None:
    write(home, '# mine\n[backends.local]\ntime_limit = "1h"  # as the night is long\n')
    config_file.write(home, "box", {"kind": "ssh", "host": "box", "slots": ["cuda:0"]})
    assert "# mine\n" in home.config_toml.read_text()
    assert "# as the night is long" in home.config_toml.read_text()
    config_file.write(home, "box", {"kind": "ssh", "host": "other", "slots": 2, "proxy_command": ["a", "b c"]})
    settings = configured.settings_of(home, "box")
    assert (settings.slot_names("box"), configured.table_of(home, "box")["host"]) == (
        ("box/cpu:0", "box/cpu:1"),
        "other",
    )
    config_file.remove(home, "box")
    assert home.config_toml.read_text() == '# mine\n[backends.local]\ntime_limit = "1h"  # as the night is long\n\n'
    for name, table in (("box", {"kind": "ssh"}), ("Big Box", {"kind": "ssh", "host": "b", "slots": 1})):
        with pytest.raises(OnehourError):
            config_file.write(home, name, table)
    with pytest.raises(OnehourError, match="there is no backend 'bx'"):
        config_file.remove(home, "bx")
    assert configured.names(home) == ["local"]


def slurm_with(home: Home, option: str) -> Any:
    write(home, f'[backends.box]\nkind = "slurm"\noptions = [{json.dumps(option)}]\n')
    return configured.settings_of(home, "box")


@pytest.mark.parametrize(
    "option",
    [
        "--mem=32G",
        "-c8",
        "-Ca100|h100",
        "--constraint=[a&b]",
        "--comment=$(touch hacked); `x` 'y'",
        "--nodelist=n1",
        "--exclusive",
    ],
)
def test_further_options_of_sbatch_are_taken_as_they_are(home: Home, option: str) -> None:
    assert slurm_with(home, option).options == (option,)


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("32G", "'32G' is no option of sbatch: write each with its value, as --mem=32G"),
        ("--mem=1\n--wrap=x", "is no option of sbatch"),
        ("--comment=\u0007", "is no option of sbatch"),
        ("", "'' is no option of sbatch"),
        ("--", "'--' is no option of sbatch"),
        ("--job-name=x", "'--job-name=x' is set by Onehour itself"),
        ("--arr=1-5", "'--arr=1-5' is set by Onehour itself"),
        ("--wrap=rm", "set by Onehour itself"),
        ("-Jx", "'-Jx' is set by Onehour itself"),
        ("-n4", "set by Onehour itself"),
        ("--time=5", "'--time=5' has a key of its own: time_limit"),
        ("--part=gpu", "'--part=gpu' has a key of its own: partition"),
        ("-pgpu", "'-pgpu' has a key of its own: partition"),
    ],
)
def test_an_option_that_would_make_another_job_of_it_is_refused(home: Home, option: str, sentence: str) -> None:
    with pytest.raises(OnehourError, match=re.escape(sentence)):
        slurm_with(home, option)


def test_a_cluster_is_opened_with_its_slots_and_less_time_than_slurm_gives(home: Home) -> None:
    write(home, '[backends.box]\nkind = "slurm"\ngres = "gpu:a100:2"\ntime_limit = "12h"\nslots = 3\n')
    box = configured.open_backend(home, "box")
    assert (box.name, box.slots()) == ("box", ("box/1", "box/2", "box/3"))
    assert box.gpus_of("box/1") == 2
    assert box.abilities.time_limit_s == 12 * 3600 - 120
