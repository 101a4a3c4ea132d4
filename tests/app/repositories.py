"""A real git repository for a test, with a person's settings of its own."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Repository:
    path: Path

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=A Person", "-c", "user.email=person@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(["git", *who, *arguments], cwd=self.path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def commit(self, words: str = "A commit") -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", words)
        return self.git("rev-parse", "HEAD")


def repository(path: Path, **files: str) -> Repository:
    """A repository with one commit that holds `files`; "_" in a keyword's place of "." ("train_py")."""
    path.mkdir(parents=True)
    made = Repository(path)
    made.git("init", "--quiet", "--initial-branch", "main")
    for name, text in files.items():
        made.write(".".join(name.rsplit("_", 1)), text)
    made.commit()
    return made
