"""A Slurm of one node on this computer: munge, controller and node daemon, as Debian's slurm-wlm brings them, on free ports.

It keeps no accounts. Its four GPUs are character devices that every Linux has; no job of the tests opens them.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from app.jobs.dependants import end_with_parent

GPUS = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random")
PATIENCE_S = 30.0
PATH = f"{os.environ['PATH']}:/usr/sbin"  # where Debian puts daemons
CONF = """
ClusterName=onehour
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1
GresTypes=gpu
MpiDefault=none
ReturnToService=2
KillWait=2
JobRequeue=1
MinJobAge=300
MessageTimeout=5
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=1000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=gpu Nodes={host} Default=YES MaxTime=12:00:00 State=UP
"""


class OneNode:
    """Ends with `stop`, or with the process that made it."""

    def __init__(self) -> None:
        missing = [
            name for name in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(name, path=PATH) is None
        ]
        if missing:
            pytest.fail(f"{', '.join(missing)}: not installed; these tests need Debian's slurm-wlm and munge")
        if os.geteuid() != 0:
            pytest.fail("these tests start a Slurm of their own, whose node daemon runs as root: run them as root")
        self.folder = Path(tempfile.mkdtemp(prefix="onehour-slurm-"))
        self.conf = self.folder / "slurm.conf"
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        host = socket.gethostname().partition(".")[0]
        controller_port, node_port = _free_ports(2)
        self.conf.write_text(
            CONF.format(
                host=host, folder=self.folder, gpus=len(GPUS), controller_port=controller_port, node_port=node_port
            )
        )
        (self.folder / "gres.conf").write_text("".join(f"NodeName={host} Name=gpu File={path}\n" for path in GPUS))
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o600)

    def start(self) -> None:
        paths = [f"--{name}={self.folder}/munge.{name}" for name in ("socket", "pid-file", "log-file", "seed-file")]
        paths[0] = f"--socket={self.folder}/munge.sock"
        self._start("munged", "munged", "--foreground", "--force", f"--key-file={self.folder}/munge.key", *paths)
        self._until((self.folder / "munge.sock").exists, "munged")
        self.start_controller()
        self._start("slurmd", "slurmd", "-D", "-f", str(self.conf))
        self._until(lambda: self.ask("sinfo", "--noheader", "--format=%T") == "idle", "slurmd")

    def start_controller(self) -> None:
        self._start("slurmctld", "slurmctld", "-D", "-f", str(self.conf))
        self._until(lambda: "UP" in self.ask("scontrol", "ping"), "slurmctld")

    def stop_controller(self) -> None:
        self._stop("slurmctld")

    def stop(self) -> None:
        try:
            if "slurmctld" in self.running and self.running["slurmctld"].poll() is None:
                self.end_jobs()
        finally:
            for name in reversed(list(self.running)):
                self._stop(name)
            shutil.rmtree(self.folder, ignore_errors=True)

    def end_jobs(self) -> None:
        """End all jobs, and wait until the node is free again."""
        self.ask("scancel", "--user=root")
        self._until(lambda: not self.ask("squeue", "--noheader"), "slurmd")

    def ask(self, *argv: str) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(argv, env=self._env(), capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def _env(self) -> dict[str, str]:
        return {"PATH": PATH, "SLURM_CONF": str(self.conf)}

    def _start(self, name: str, *argv: str) -> None:
        # A session of its own: Ctrl-C ends the tests, which then end it. Nothing of our environment reaches a job through it.
        with (self.folder / f"{name}.out").open("ab") as out:
            self.running[name] = subprocess.Popen(
                [shutil.which(argv[0], path=PATH) or argv[0], *argv[1:]],
                env=self._env(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )

    def _stop(self, name: str) -> None:
        process = self.running.pop(name)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _until(self, true: object, name: str) -> None:
        ends_at = time.monotonic() + PATIENCE_S
        assert callable(true)
        while not true():
            if time.monotonic() > ends_at or self.running[name].poll() is not None:
                said = [path.read_text(errors="replace")[-1500:] for path in self.folder.glob(f"{name}.*o*")]
                self.stop()
                pytest.fail(f"Slurm cannot be started here ({name}):\n" + "\n".join(said))
            time.sleep(0.05)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
