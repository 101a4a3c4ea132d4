"""The web page of a commit, for every form in which a remote's address is written."""

from __future__ import annotations

import pytest

from app.jobs.commit_page import commit_page, without_credentials

pytestmark = pytest.mark.unit

COMMIT = "366abc9df6eabe1d07920561ee0fe43f6c99213f"


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("git@github.com:me/whales.git", "https://github.com/me/whales/commit/"),
        ("https://github.com/me/whales.git", "https://github.com/me/whales/commit/"),
        ("https://github.com/me/whales/", "https://github.com/me/whales/commit/"),
        ("ssh://git@github.com/me/whales.git", "https://github.com/me/whales/commit/"),
        ("ssh://git@ssh.github.com:443/me/whales.git", "https://github.com/me/whales/commit/"),
        ("git://github.com/me/whales", "https://github.com/me/whales/commit/"),
        ("https://person:s3cret@github.com/me/whales", "https://github.com/me/whales/commit/"),
        ("git@GitHub.com:me/whales.git", "https://github.com/me/whales/commit/"),
        ("https://gitlab.com/group/sub/whales.git", "https://gitlab.com/group/sub/whales/-/commit/"),
        ("git@gitlab.example.org:me/whales.git", "https://gitlab.example.org/me/whales/-/commit/"),
        ("https://gitlab.example.org:8443/me/whales", "https://gitlab.example.org:8443/me/whales/-/commit/"),
        ("ssh://git@gitlab.example.org:2222/me/whales.git", "https://gitlab.example.org/me/whales/-/commit/"),
        ("git@bitbucket.org:me/whales.git", "https://bitbucket.org/me/whales/commits/"),
        ("https://codeberg.org/me/whales", "https://codeberg.org/me/whales/commit/"),
        ("git@gitea.example.org:me/whales.git", "https://gitea.example.org/me/whales/commit/"),
        ("https://my-forgejo.example.org/me/whales", "https://my-forgejo.example.org/me/whales/commit/"),
        ("git@github.com:me/two words.git", "https://github.com/me/two%20words/commit/"),
    ],
)
def test_the_commit_is_found_on_the_web(remote: str, page: str) -> None:
    assert commit_page(remote, COMMIT) == page + COMMIT


@pytest.mark.parametrize(
    "remote",
    [
        "",
        "/srv/git/whales.git",
        "../github.com/me/whales",
        "file:///srv/github.com/me/whales",
        "C:\\github.com\\me",
        "git@example.org:me/whales.git",
        "git@notgithub.com:me/whales.git",
        "https://github.com",
        "https://github.com/me",
        "https://[github.com/me/whales",
        "https://github.com:port/me/whales",
        "javascript://github.com/me/whales",
        'https://github.com"onload=/me/whales',
    ],
)
def test_any_other_remote_has_no_page(remote: str) -> None:
    assert commit_page(remote, COMMIT) is None


def test_what_is_no_commit_has_no_page() -> None:
    assert commit_page("git@github.com:me/whales.git", "main) [x](y") is None


@pytest.mark.parametrize(
    ("remote", "kept"),
    [
        ("https://person:s3cret@github.com/me/whales.git", "https://github.com/me/whales.git"),
        ("https://s3cret@gitlab.example.org:8443/me/whales", "https://gitlab.example.org:8443/me/whales"),
        ("https://github.com/me/whales?private_token=s3cret", "https://github.com/me/whales"),
        ("ssh://git:s3cret@github.com:22/me/whales", "ssh://git@github.com:22/me/whales"),
        ("git@github.com:me/whales.git", "git@github.com:me/whales.git"),
        ("/srv/git/whales.git", "/srv/git/whales.git"),
    ],
)
def test_an_address_is_kept_without_its_secrets(remote: str, kept: str) -> None:
    assert without_credentials(remote) == kept
