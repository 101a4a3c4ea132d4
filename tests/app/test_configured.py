"""config.toml: which backends this computer knows, and what is wrong in it."""

from __future__ import annotations

import pytest

from app.jobs import configured
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
