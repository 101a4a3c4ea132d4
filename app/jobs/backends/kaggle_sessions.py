"""Kernels as the account sees them: pushed, asked about, their output listed; the account's GPU quota."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

from app.jobs.backends.interface import Quota, Refused
from app.jobs.kaggle_account import Account, Busy, Forbidden
from app.journal.days import to_ms

PAGE_SIZE = 200
MOST_PAGES = 50
# In what Kaggle says when it starts nothing now, and would later: sessions at once, hours a week.
LATER_WORDS = ("maximum", "quota", "limit", "session count")


@dataclass(frozen=True)
class SessionStatus:
    """`state` as Kaggle names it: QUEUED, RUNNING, COMPLETE, ERROR, CANCEL_REQUESTED, CANCEL_ACKNOWLEDGED, NEW_SCRIPT."""

    state: str
    failure: str = ""


@dataclass(frozen=True)
class Output:
    name: str
    address: str


@dataclass(frozen=True)
class Kernel:
    """What is pushed. `timeout_s` ends its session; `accelerator` as Kaggle names it, empty for the processor alone."""

    slug: str
    script: str
    timeout_s: float
    accelerator: str = ""
    internet: bool = False
    datasets: Sequence[str] = ()
    competitions: Sequence[str] = ()
    kernels: Sequence[str] = ()


class Sessions:
    def __init__(self, account: Account) -> None:
        self.account = account

    def page(self, slug: str) -> str:
        return f"https://www.kaggle.com/code/{self.account.user}/{slug}"

    def push(self, kernel: Kernel) -> None:
        """Push it, which starts a session, each time. Raises Busy when Kaggle would start it later, Refused when never."""
        owner = self.account.user
        with tempfile.TemporaryDirectory(prefix="onehour-kernel-") as folder:
            (Path(folder) / "script.py").write_text(kernel.script, encoding="utf-8")
            told = {
                "id": f"{owner}/{kernel.slug}",
                "title": kernel.slug,
                "code_file": "script.py",
                "language": "python",
                "kernel_type": "script",
                "is_private": True,
                "enable_gpu": bool(kernel.accelerator) and not kernel.accelerator.lower().startswith("tpu"),
                "enable_internet": kernel.internet,
                "dataset_sources": [f"{owner}/{slug}" for slug in kernel.datasets],
                "competition_sources": list(kernel.competitions),
                "kernel_sources": [f"{owner}/{slug}" for slug in kernel.kernels],
            }
            (Path(folder) / "kernel-metadata.json").write_text(json.dumps(told), encoding="utf-8")
            timeout, accelerator = str(round(kernel.timeout_s)), kernel.accelerator or None
            answer = self.account.do(lambda api: api.kernels_push(folder, timeout=timeout, acc=accelerator))
        if answer.error:
            words = answer.error.rstrip(".")
            if any(word in words.lower() for word in LATER_WORDS):
                raise Busy(f"it starts nothing now: {words}", answered=True)
            raise Refused(words, f"kernel {kernel.slug}")
        self._require_sources(answer)

    def _require_sources(self, answer: Any) -> None:
        """Kaggle starts a kernel also without a source that it does not know, and says so beside the address."""
        for name, what, fix in (
            ("invalid_competition_sources", "data of the competition", "Accept its rules on its page."),
            ("invalid_dataset_sources", "dataset", ""),
            ("invalid_kernel_sources", "output of the kernel", ""),
        ):
            refused = getattr(answer, name)
            if refused:
                raise Refused(f"Kaggle did not attach the {what} {', '.join(refused)}", answer.url, fix)

    def status(self, slug: str) -> SessionStatus | None:
        """None when there is no such kernel."""

        def asked(services: Any) -> SessionStatus:
            from kagglesdk.kernels.types.kernels_api_service import ApiGetKernelSessionStatusRequest

            request = ApiGetKernelSessionStatusRequest()
            request.user_name, request.kernel_slug = self.account.user, slug
            answer = services.kernels.kernels_api_client.get_kernel_session_status(request)
            return SessionStatus(answer.status.name, answer.failure_message or "")

        try:
            return self.account.ask(asked)
        except Forbidden:
            return None

    def outputs(self, slug: str) -> tuple[list[Output], str]:
        """The files of its last session, and Kaggle's own log of it as text."""
        token, found, said = "", [], ""
        for _ in range(MOST_PAGES):
            answer = self._output_page(slug, token)
            found += [Output(one.file_name, one.url) for one in answer.files or []]
            said, token = said or answer.log or "", answer.next_page_token or ""
            if not token:
                break
        return found, _as_text(said)

    def _output_page(self, slug: str, token: str) -> Any:
        def asked(services: Any) -> Any:
            from kagglesdk.kernels.types.kernels_api_service import ApiListKernelSessionOutputRequest

            request = ApiListKernelSessionOutputRequest()
            request.user_name, request.kernel_slug = self.account.user, slug
            request.page_size, request.page_token = PAGE_SIZE, token
            return services.kernels.kernels_api_client.list_kernel_session_output(request)

        return self.account.ask(asked)

    def quota(self) -> Quota | None:
        """The GPU quota of the account; None where Kaggle tells of none."""

        def asked(services: Any) -> Quota | None:
            from kagglesdk.kernels.types.kernels_api_service import ApiGetAcceleratorQuotaStatisticsRequest

            request = ApiGetAcceleratorQuotaStatisticsRequest()
            answer = services.kernels.kernels_api_client.get_accelerator_quota_statistics(request)
            if answer.gpu_quota is None:
                return None
            # Of the attributes: the client's to_dict drops whole days.
            used, allowed = answer.gpu_quota.time_used, answer.gpu_quota.total_time_allowed
            resets = answer.quota_refresh_time
            return Quota(
                0.0 if used is None else used.total_seconds(),
                0.0 if allowed is None else allowed.total_seconds(),
                None if resets is None else to_ms(resets.replace(tzinfo=UTC)),
            )

        return self.account.ask(asked)


def _as_text(said: str) -> str:
    """Kaggle's log is a JSON list of pieces of output; another shape is taken as it is."""
    try:
        rows = json.loads(said)
    except ValueError:
        return said
    return (
        "".join(str(row.get("data", "")) for row in rows if isinstance(row, dict)) if isinstance(rows, list) else said
    )
