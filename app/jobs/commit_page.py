"""The page of a commit on the web, from a remote's address."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

# What stands between a repository's page and a commit, by a word in the host's name: also for servers of one's own.
PATHS = {
    "github": "commit",
    "gitlab": "-/commit",
    "bitbucket": "commits",
    "codeberg": "commit",
    "gitea": "commit",
    "forgejo": "commit",
}
# Hosts that let SSH in on the port of HTTPS: their pages are elsewhere.
SSH_HOSTS = {
    "ssh.github.com": "github.com",
    "altssh.gitlab.com": "gitlab.com",
    "altssh.bitbucket.org": "bitbucket.org",
}
HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
SCP_LIKE = re.compile(r"(?:[\w.-]+@)?([\w.-]+):(?!//)(.+)")


def commit_page(remote_url: str, commit: str) -> str | None:
    """The address of `commit` on the web, for GitHub, GitLab, Bitbucket, Codeberg, Gitea and Forgejo; None for any other remote.

    `remote_url` as git knows it: https://, ssh://, git:// or user@host:path.
    """
    host, port, path = _parts(remote_url)
    kind = next((PATHS[word] for word in re.split(r"[.-]", host) if word in PATHS), None)
    path = path.strip("/").removesuffix(".git")
    if kind is None or "/" not in path or not HOST.fullmatch(host) or not re.fullmatch(r"[0-9a-f]{7,64}", commit):
        return None
    return f"https://{host}{port}/{quote(path, safe='/~')}/{kind}/{commit}"


def without_credentials(remote_url: str) -> str:
    """The address with neither user nor password; of SSH the user stays, who is no secret (git@)."""
    if "://" not in remote_url:
        return remote_url
    parts = urlsplit(remote_url)
    user = parts.netloc.rpartition("@")[0].partition(":")[0]
    host = parts.netloc.rpartition("@")[2]
    keeps_user = parts.scheme == "ssh" and user
    return f"{parts.scheme}://{f'{user}@' if keeps_user else ''}{host}{parts.path}"


def _parts(remote_url: str) -> tuple[str, str, str]:
    """Host, port of its pages (":8443" or ""), path; empty for what is no address on the network."""
    if "://" in remote_url:
        try:
            parts = urlsplit(remote_url)
            port = f":{parts.port}" if parts.port and parts.scheme in ("http", "https") else ""
        except ValueError:  # a port that is no number, a bracket that is not closed
            return "", "", ""
        if parts.scheme not in ("https", "http", "ssh", "git"):
            return "", "", ""
        host = (parts.hostname or "").lower()
        return SSH_HOSTS.get(host, host), port, parts.path
    found = SCP_LIKE.fullmatch(remote_url)
    if found is None:
        return "", "", ""
    host = found[1].lower()
    return SSH_HOSTS.get(host, host), "", found[2]
