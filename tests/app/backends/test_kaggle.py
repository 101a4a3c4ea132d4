"""Kaggle as a backend, against the double: the real client, kernels that really run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.jobs import kaggle_origin
from app.jobs.backends import kaggle_request
from app.jobs.backends.interface import Attempt, Backend, Condition
from app.journal.home import Home
from app.journal.store import Journal
from engine.contract import OnehourError
from engine.run_folder import RunFolder
from tests.app.backends.contract import BackendContract, Machine
from tests.app.trainings import until, write_epoch
from tests.doubles.kaggle_competitions import Competition
from tests.doubles.kaggle_machine import SETTINGS, Kernels
from tests.doubles.kaggle_server import TOKEN, KaggleServer

SLUG = "humpback-whale-identification"
AttemptOf = Callable[..., Attempt]
FAULTS: dict[str, dict[str, Any]] = {
    "it does not take the key. Make a new token on https://www.kaggle.com/settings/api": {"status": 401},
    "it has had too many requests and asks to wait for 7 s": {"status": 429, "headers": {"Retry-After": "7"}},
    "it has an error of its own (HTTP 500)": {"status": 500, "times": 9},
    "its answer cannot be read": {"body": b"{not json", "times": 9},
    "it did not answer within 0.2 s": {"slow_s": 2.0},
    "it cannot be reached. Is there a network?": {"lost": True, "times": 9},
}


class TestKaggle(BackendContract):
    @pytest.fixture
    def machine(self, home: Home, kaggle: KaggleServer) -> Kernels:
        return Kernels(home, kaggle)

    def starts(self, machine: Machine, attempt: Attempt) -> str:
        assert isinstance(machine, Kernels)
        return machine.starts(attempt)

    def pushed(self, kaggle: KaggleServer, backend: Backend, attempt: Attempt) -> dict[str, object]:
        """What Kaggle was told to run, once it was."""
        backend.submit(attempt)
        until(lambda: kaggle.sent("SaveKernel"), lambda: backend.status(attempt))
        return kaggle.sent("SaveKernel")[-1]

    @pytest.fixture
    def competition(self, kaggle: KaggleServer, data_dir: Path) -> Competition:
        """The data folder was downloaded from this competition."""
        files = {str(path.relative_to(data_dir)): path.read_bytes() for path in data_dir.rglob("*") if path.is_file()}
        kaggle.competitions[SLUG] = Competition(SLUG, files)
        kaggle_origin.keep(data_dir, SLUG, files)
        return kaggle.competitions[SLUG]

    def test_a_kernel_is_private_and_told_its_accelerator_its_end_and_the_programmes_limit(
        self, kaggle: KaggleServer, backend: Backend, attempt_of: AttemptOf
    ) -> None:
        kaggle.may_start.clear()
        attempt = attempt_of("look")
        asked = self.pushed(kaggle, backend, attempt)
        assert (asked["machineShape"], asked["sessionTimeoutSeconds"]) == ("NvidiaTeslaT4", 7_200)
        assert asked.get("isPrivate") is True
        assert not asked.get("enableInternet")
        assert all(dataset.is_private for dataset in kaggle.datasets.values())
        until(lambda: backend.status(attempt).condition is Condition.WAITING)
        until(lambda: backend.status(attempt).reason == "in Kaggle's queue")
        kaggle.may_start.set()
        self.over(backend, attempt)
        assert self.looked(attempt)["time_limit_s"] == "6600"

    def test_what_was_sent_once_is_not_sent_again(
        self, kaggle: KaggleServer, machine: Kernels, backend: Backend, attempt_of: AttemptOf
    ) -> None:
        first = attempt_of("refuse")
        backend.submit(first)
        self.over(backend, first)
        assert len(kaggle.sent("StartBlobUpload")) == 2  # the engine, the data
        again = Attempt(8, 1, first.run_dir.parent / "humpback_001-r02", first.slot, first.programme)
        again.programme.prepare(RunFolder(again.run_dir))
        other = machine.client()
        other.submit(again)
        self.over(other, again)
        assert len(kaggle.sent("StartBlobUpload")) == 2
        assert not list((machine.home.jobs_dir / "kaggle" / "parcels").glob("*/*"))

    def test_a_file_that_does_not_arrive_is_sent_again_and_a_dataset_that_failed_is_made_anew(
        self, kaggle: KaggleServer, journal: Journal, data_dir: Path, backend: Backend
    ) -> None:
        kaggle.may_start.clear()
        kaggle.fail("/upload/blob-0", 400)
        key, jobs = self.queued(journal, data_dir, backend, "finish")
        until(lambda: "did not arrive" in self.job(journal, key).message, jobs.tick)
        jobs.ask_again_at = 0.0
        until(lambda: kaggle.datasets, jobs.tick)
        (name,) = [ref for ref in kaggle.datasets if "onehour-engine" in ref]
        kaggle.datasets[name].failed = True
        until(lambda: "could not make a dataset of the engine" in self.job(journal, key).message, jobs.tick)
        assert self.job(journal, key).state == "failed"
        second, jobs = self.queued(journal, data_dir, backend, "finish")
        until(lambda: self.job(journal, second).message == "in Kaggle's queue", jobs.tick)
        assert len(kaggle.sent("DeleteDataset")) == 1
        assert [dataset.failed for dataset in kaggle.datasets.values()] == [False, False]

    def test_the_competitions_own_data_is_attached_and_only_what_was_changed_is_sent(
        self,
        kaggle: KaggleServer,
        machine: Kernels,
        backend: Backend,
        attempt_of: AttemptOf,
        competition: Competition,
        data_dir: Path,
    ) -> None:
        (data_dir / "train.csv").write_text("Image,Id\na.jpg,w_2\n")
        attempt = attempt_of("look")
        asked = self.pushed(kaggle, backend, attempt)
        assert asked["competitionDataSources"] == [SLUG]
        (name,) = [ref for ref in kaggle.datasets if "onehour-data" in ref]
        assert [path.stat().st_size < 20_000 for path in kaggle.datasets[name].files.values()] == [True]
        self.over(backend, attempt)
        session = machine.session(attempt)
        assert session is not None
        (seen,) = session.dir.glob("tmp/onehour-*/data")
        assert (seen / "train.csv").read_text() == "Image,Id\na.jpg,w_2\n"
        assert (seen / "test" / "b.jpg").read_bytes() == b"b"
        assert (seen / "train").is_symlink()

    def test_all_of_the_data_is_sent_when_one_of_its_pictures_was_changed(
        self, kaggle: KaggleServer, backend: Backend, attempt_of: AttemptOf, competition: Competition, data_dir: Path
    ) -> None:
        kaggle.may_start.clear()
        (data_dir / "train" / "a.jpg").write_bytes(b"another")
        assert "competitionDataSources" not in self.pushed(kaggle, backend, attempt_of("look"))

    def test_data_that_kaggle_does_not_attach_is_an_error_that_names_it(
        self, kaggle: KaggleServer, backend: Backend, attempt_of: AttemptOf, competition: Competition
    ) -> None:
        competition.rules_accepted = False
        attempt = attempt_of("look")
        backend.submit(attempt)
        with pytest.raises(OnehourError, match=f"did not attach the data of the competition {SLUG}. Accept its rules"):
            until(lambda: False, lambda: backend.status(attempt))

    def test_the_next_attempt_takes_over_the_output_of_the_last_one_without_sending_it(
        self, kaggle: KaggleServer, journal: Journal, data_dir: Path, backend: Backend
    ) -> None:
        key, jobs = self.queued(journal, data_dir, backend, "requeue")
        until(lambda: self.job(journal, key).finished_at is not None, jobs.tick)
        assert self.job(journal, key).state == "succeeded"
        first, second = kaggle.sent("SaveKernel")
        assert "kernelDataSources" not in first
        assert second["kernelDataSources"] == [first["slug"]]
        assert not [ref for ref in kaggle.datasets if "onehour-run" in ref]

    def test_a_run_that_comes_from_another_machine_goes_on_from_what_it_has(
        self, kaggle: KaggleServer, journal: Journal, data_dir: Path, backend: Backend
    ) -> None:
        kaggle.layout = "old"  # Kaggle mounted its sources elsewhere before, and may again
        key, jobs = self.queued(journal, data_dir, backend, "requeue")
        folder = RunFolder(journal.home.run_dir(key))
        folder.path.mkdir(parents=True)
        write_epoch(folder, 1)  # the training stops after its first epoch unless that is there
        until(lambda: self.job(journal, key).finished_at is not None, jobs.tick)
        assert (self.job(journal, key).state, self.job(journal, key).attempt) == ("succeeded", 1)
        assert [ref for ref in kaggle.datasets if "onehour-run" in ref]

    def test_a_push_whose_answer_is_lost_starts_one(
        self, kaggle: KaggleServer, journal: Journal, data_dir: Path, backend: Backend
    ) -> None:
        key, jobs = self.queued(journal, data_dir, backend, "finish")
        kaggle.fail("SaveKernel", lost=True)
        until(lambda: "Kaggle: it cannot be reached" in self.job(journal, key).message, jobs.tick)
        jobs.ask_again_at = 0.0
        until(lambda: self.job(journal, key).finished_at is not None, jobs.tick)
        assert self.job(journal, key).state == "succeeded"
        assert len(kaggle.sent("SaveKernel")) == 1

    def test_a_fault_of_kaggles_is_a_sentence_in_the_jobs_row_and_loses_nothing(
        self,
        kaggle: KaggleServer,
        journal: Journal,
        data_dir: Path,
        backend: Backend,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        kaggle.may_start.clear()
        key, jobs = self.queued(journal, data_dir, backend, "finish")
        until(lambda: self.job(journal, key).message == "in Kaggle's queue", jobs.tick)
        for sentence, fault in FAULTS.items():
            monkeypatch.setattr("app.jobs.kaggle_account.TIMEOUT_S", 0.2)
            kaggle.fail("GetKernelSessionStatus", **fault)
            until(lambda sentence=sentence: sentence in self.job(journal, key).message, jobs.tick)
            assert self.job(journal, key).state == "starting"
            if fault.get("status") == 429:
                asked, jobs.ask_again_at = len(kaggle.sent("GetKernelSessionStatus")), 0.0
                jobs.tick()
                assert len(kaggle.sent("GetKernelSessionStatus")) == asked, "it is not asked before it wants to be"
            kaggle.faults.clear()
            backend.quiet_until = jobs.ask_again_at = 0.0  # type: ignore[attr-defined]
        monkeypatch.setattr("app.jobs.kaggle_account.TIMEOUT_S", 60.0)
        kaggle.may_start.set()
        until(lambda: self.job(journal, key).finished_at is not None, jobs.tick)
        assert (self.job(journal, key).state, self.job(journal, key).attempt) == ("succeeded", 1)

    def test_when_kaggle_starts_nothing_more_now_the_job_waits_and_says_so(
        self, kaggle: KaggleServer, journal: Journal, data_dir: Path, backend: Backend
    ) -> None:
        kaggle.push_error = "Maximum batch GPU session count of 2 reached."
        key, jobs = self.queued(journal, data_dir, backend, "finish")
        until(lambda: "Maximum batch GPU session count of 2 reached" in self.job(journal, key).message, jobs.tick)
        assert self.job(journal, key).state == "starting"
        kaggle.push_error = "Kernel title is taken"
        backend.quiet_until = jobs.ask_again_at = 0.0  # type: ignore[attr-defined]
        until(lambda: self.job(journal, key).finished_at is not None, jobs.tick)
        assert (self.job(journal, key).state, kaggle.kernels) == ("failed", {})
        assert "Kernel title is taken" in self.job(journal, key).message

    def test_when_the_account_has_no_room_for_datasets_the_row_says_how_to_make_some(
        self, kaggle: KaggleServer, journal: Journal, data_dir: Path, backend: Backend
    ) -> None:
        kaggle.dataset_error = "You have exceeded your private dataset quota."
        key, jobs = self.queued(journal, data_dir, backend, "finish")
        until(lambda: self.job(journal, key).finished_at is not None, jobs.tick)
        done = self.job(journal, key)
        assert (done.state, kaggle.kernels) == ("failed", {})
        assert "exceeded your private dataset quota. Delete what earlier runs left there:" in done.message
        assert done.message.endswith("backend tidy kaggle")

    def test_names_that_lead_outside_or_that_nobody_asked_for_are_not_brought_home(
        self, kaggle: KaggleServer, machine: Kernels, backend: Backend, attempt_of: AttemptOf
    ) -> None:
        attempt = attempt_of("finish")
        backend.submit(attempt)
        until(lambda: machine.session(attempt) is not None, lambda: backend.status(attempt))
        session, run = machine.session(attempt), attempt.run_dir.name
        assert session is not None
        hostile = (
            "../escaped.csv", f"{run}/../escaped.csv", "/tmp/escaped.csv", f"{run}/spec.yaml", f"{run}/fold0/../../x.json",
            f"{run}/.hidden.json", "other/result.json", f"{run}/fold0/deep/last.pt",
        )  # fmt: skip
        for name in hostile:
            session.more_outputs[name] = b"{}"
        spec = (attempt.run_dir / "spec.yaml").read_bytes()
        assert self.over(backend, attempt).exit_code == 0
        assert (attempt.run_dir / "spec.yaml").read_bytes() == spec
        names = {path.name for path in machine.home.path.rglob("*")} | {path.name for path in Path("/tmp").iterdir()}
        assert not names & {"escaped.csv", "x.json", ".hidden.json", "deep", "other"}

    def test_an_attempt_that_is_cancelled_while_it_is_being_sent_is_never_pushed(
        self, kaggle: KaggleServer, backend: Backend, attempt_of: AttemptOf
    ) -> None:
        kaggle.dataset_polls = 1_000_000
        attempt = attempt_of("finish")
        backend.submit(attempt)
        until(lambda: "Kaggle is unpacking" in backend.status(attempt).reason)
        for dataset in kaggle.datasets.values():
            dataset.polls = 0
        backend.cancel(attempt)
        until(lambda: backend.status(attempt).condition is Condition.EXITED)
        assert (backend.status(attempt).exit_code, backend.fetch(attempt)) == (75, True)
        assert kaggle.kernels == {}

    def test_what_the_image_lacks_is_one_sentence(
        self, kaggle: KaggleServer, backend: Backend, attempt_of: AttemptOf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(kaggle_request, "ENGINE_PACKAGES", ("pyyaml", "no-such-thing", "nor-that"))
        attempt = attempt_of("finish")
        backend.submit(attempt)
        ended = self.over(backend, attempt)
        assert ended.exit_code == 127
        assert ended.reason == "Kaggle's image has no no-such-thing, no nor-that, which the engine needs."

    def test_a_kernel_that_was_stopped_on_its_page_is_lost_and_its_log_comes_home(
        self, kaggle: KaggleServer, machine: Kernels, backend: Backend, attempt_of: AttemptOf
    ) -> None:
        attempt = attempt_of("wait")
        backend.submit(attempt)
        self.begun(backend, machine, attempt)
        session = machine.session(attempt)
        assert session is not None
        session.last_words = "Your notebook tried to allocate more memory than is available.\n"
        session.status = "CANCEL_ACKNOWLEDGED"
        machine.kill(attempt)
        until(lambda: session.log)
        until(lambda: backend.status(attempt).condition is Condition.LOST)
        until(lambda: backend.fetch(attempt))
        assert "more memory than is available" in RunFolder(attempt.run_dir).log_tail()

    def test_an_output_that_is_shown_late_is_waited_for(
        self, kaggle: KaggleServer, machine: Kernels, backend: Backend, attempt_of: AttemptOf
    ) -> None:
        attempt = attempt_of("wait")
        backend.submit(attempt)
        self.begun(backend, machine, attempt)
        session = machine.session(attempt)
        assert session is not None
        session.status = "COMPLETE"
        until(lambda: "does not show its output yet" in backend.status(attempt).reason)
        (machine.run_dir(attempt) / "go").touch()
        assert self.over(backend, attempt).exit_code == 0

    def test_a_kernel_that_was_deleted_is_lost_in_the_end_and_nothing_is_asked_of_it(
        self, kaggle: KaggleServer, machine: Kernels, backend: Backend, attempt_of: AttemptOf,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        attempt = attempt_of("wait")
        backend.submit(attempt)
        self.begun(backend, machine, attempt)
        machine.kill(attempt)
        kaggle.kernels.clear()
        until(lambda: "has not said yet" in backend.status(attempt).reason)
        monkeypatch.setattr("app.jobs.backends.kaggle_kernels.LOST_ANSWER_S", 0.0)
        until(lambda: backend.status(attempt).condition is Condition.LOST)
        assert backend.fetch(attempt)

    def test_the_key_stands_in_the_header_alone(
        self, kaggle: KaggleServer, backend: Backend, attempt_of: AttemptOf
    ) -> None:
        attempt = attempt_of("finish")
        backend.submit(attempt)
        self.over(backend, attempt)
        holding = [call for call in kaggle.calls if TOKEN.encode() in call.body or TOKEN in call.path]
        assert {call.rpc for call in holding} == {"IntrospectToken"}
        assert [call for call in kaggle.calls if call.authorization == f"Bearer {TOKEN}"]

    def test_the_quota_is_the_accounts_and_whole_days_of_it_count(self, kaggle: KaggleServer, backend: Backend) -> None:
        kaggle.gpu_used_s, kaggle.gpu_allowed_s = 108_000, 108_000
        found = backend.probe()
        assert found.quota is not None
        assert (found.quota.used_s, found.quota.allowed_s) == (108_000, 108_000)
        assert found.problems == ("The week's GPU quota is used up.",)

    def test_kernels_of_two_homes_have_different_names_of_at_most_fifty_characters(
        self, attempt_of: AttemptOf, home: Home
    ) -> None:
        first = attempt_of("finish")
        long = Attempt(123_456, 12, home.run_dir(f"{'x' * 40}_001-r01"), "kaggle/1", first.programme)
        names = {
            kaggle_request.slug_of(where, one) for where in (home, Home(home.path / "other")) for one in (first, long)
        }
        assert len(names) == 4
        assert all(len(name) <= 50 and name.startswith("onehour-") for name in names)


def test_a_backend_says_what_it_is_and_how_to_stop_what_it_runs(home: Home) -> None:
    from app.jobs.backends.kaggle_kernels import KaggleBackend

    backend = KaggleBackend("kaggle", SETTINGS, home)
    assert backend.slots() == ("kaggle/1", "kaggle/2")
    assert backend.gpus_of("kaggle/1") == 1
    assert not backend.abilities.cancel
    assert "https://www.kaggle.com/work/code" in backend.abilities.how_to_cancel
