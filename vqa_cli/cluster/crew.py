"""The nodes of a cluster as one run sees them: who measures there, and who was refused and why."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any

from vqa_cli.cluster import station
from vqa_cli.cluster.travel import Node, Ready, Sealed, Unfit
from vqa_cli.cluster.work import Measurer
from vqa_cli.errors import ToolError
from vqa_cli.ladder.executor import OnNote

# Share of a GPU that one scorer takes, decoding and metrics beside it being the CPU's: four keep one busy.
GPU_SHARE = 0.25
_LOOK_S, _MUSTER_S, _CLEAR_S = 5.0, 60.0, 10.0
# Members that may die on a node before they have said a word; then it is refused.
_PATIENCE = 3


@dataclass
class Member:
    """A process with a scorer on a node. ``ready`` is Ray's reference to its first word."""

    node: str
    handle: Any
    ready: Any
    fit: bool = False
    busy: bool = False


class Crew:
    """Members on every node that has CPUs, or only on those with GPUs where a model can use them.

    Members reserve no CPU: encodes do. While both have work, Linux shares the cores between them; whichever is slower gets
    more, since encodes that wait to be measured hold up the next ones.
    """

    def __init__(self, sealed: Sealed, threads: int, *, gpu: bool, measurer: type = Measurer) -> None:
        import ray

        self._ray: Any = ray
        self._sealed, self._threads, self._gpu = sealed, threads, gpu
        self._class: Any = ray.remote(measurer)
        self._members: list[Member] = []
        self._nodes: dict[str, float] = {}
        self._refused: dict[str, Unfit] = {}
        self._blind: dict[str, dict[str, Unfit]] = {}
        self._staffed: set[str] = set()
        self._failures: Counter[str] = Counter()
        self._looked, self._mustered = 0.0, False
        self._unsaid: list[str] = []
        self._on_note: OnNote = self._unsaid.append
        self.simds: set[str] = set()

    def tell(self, on_note: OnNote) -> None:
        """Say to somebody what users should know of the nodes, also what nobody has heard yet."""
        self._on_note = on_note
        while self._unsaid:
            on_note(self._unsaid.pop(0))

    @property
    def slots(self) -> int:
        """Tasks that the nodes in use can encode at once."""
        return sum(
            max(1, int(cpus // self._threads)) for node, cpus in self._nodes.items() if node not in self._refused
        )

    @property
    def cpus(self) -> float:
        """What a task reserves: its threads, or the largest node where none has so many."""
        fit = [cpus for node, cpus in self._nodes.items() if node not in self._refused]
        return min([float(self._threads), max(fit, default=float(self._threads))])

    @property
    def awaited(self) -> dict[Any, Member]:
        """Members that have not said yet whether they can work, by reference."""
        return {member.ready: member for member in self._members if not member.fit}

    def muster(self) -> None:
        """Wait until the nodes there are at the beginning have answered, once; for the last ones not long.

        Raises:
            ToolError: no node can take part.
        """
        if self._mustered:
            return
        self._mustered = True
        self.look()
        until = None
        while self.awaited and (until is None or time.monotonic() < until):
            done, _ = self._ray.wait(list(self.awaited), num_returns=1, timeout=1.0)
            for ref in done:
                self.hear(ref)
            if until is None and any(member.fit for member in self._members):
                until = time.monotonic() + _MUSTER_S

    def look(self) -> None:
        """See who has come and who has gone, every few seconds.

        Raises:
            ToolError: no node can take part.
        """
        if time.monotonic() - self._looked < _LOOK_S and self._nodes:
            return
        self._looked = time.monotonic()
        alive = {node["NodeID"]: node["Resources"] for node in self._ray.nodes() if node["Alive"]}
        for lost in set(self._nodes) - set(alive):
            self._on_note(f"node {lost[:8]} is gone; its rungs run again elsewhere")
        now = {node: has["CPU"] for node, has in alive.items() if has.get("CPU")}
        with_gpu = any(has.get("GPU") for has in alive.values()) and self._gpu
        self._nodes = now
        self._members = [member for member in self._members if member.node in now]
        for node in set(now) - set(self._refused):
            self._staff(node, alive[node], with_gpu)

    def hear(self, ref: Any) -> None:
        """Take a member's first word."""
        if (member := self.awaited.get(ref)) is None:
            return  # its node was refused meanwhile
        try:
            said = self._ray.get(ref)
        except self._ray.exceptions.RayError as err:
            self.drop(member)
            self._failures[member.node] += 1
            if self._failures[member.node] == _PATIENCE:
                last = str(err).strip().splitlines()[-1]
                self.refuse(Unfit(Node(member.node, member.node[:8]), f"vqa does not start there: {last}"))
            return
        if isinstance(said, Ready):
            member.fit = True
            if said.simd not in self.simds and self.simds:
                kinds = ", ".join(sorted({*self.simds, said.simd}))
                self._on_note(
                    f"node {said.node.name} has other vector instructions ({kinds}): x264 makes other files with others"
                )
            self.simds.add(said.simd)
        else:
            self.refuse(said)

    def refuse(self, unfit: Unfit) -> None:
        """Use a node no more, or not for one source; said once.

        Raises:
            ToolError: there is no other node.
        """
        node = unfit.node.id
        refused = self._refused if unfit.source is None else self._blind.setdefault(unfit.source, {})
        if node not in refused:
            refused[node] = unfit
            self._on_note(
                f"node {unfit.node.name} is not used{' for this source' if unfit.source else ''}: {unfit.reason}"
            )
        if unfit.source is None:
            for member in [member for member in self._members if member.node == node]:
                self.drop(member)
            self._refuse_nobody()

    def barred(self, source: str) -> dict[str, Unfit]:
        """Nodes that cannot work on a source, and why."""
        return self._refused | self._blind.get(source, {})

    def hopeless(self, source: str) -> Unfit | None:
        """Why a source can be encoded, or else measured, on no node that is there, if that is so."""
        barred = self.barred(source)
        for nodes in (set(self._nodes), {member.node for member in self._members}):
            if nodes and nodes <= set(barred):
                return barred[min(nodes)]
        return None

    def wanted(self, source: str) -> dict[str, Any]:
        """Ray's options for a task that works on a source: CPUs, and not where it was refused."""
        barred = ",".join(sorted(self.barred(source)))
        return {"num_cpus": self.cpus, "label_selector": {"ray.io/node-id": f"!in({barred})"} if barred else None}

    def pick(self, source: str, near: str | None) -> Member | None:
        """A member with nothing to do, on the node where the encode lies if there is one."""
        barred = self.barred(source)
        free = [member for member in self._members if member.fit and not member.busy and member.node not in barred]
        return min(free, key=lambda member: member.node != near, default=None)

    def drop(self, member: Member) -> None:
        """Do without a member, whose process is dead or is to be."""
        self._members = [other for other in self._members if other is not member]
        with self._gone_is_fine():
            self._ray.kill(member.handle)

    def dismiss(self, run: str) -> None:
        """End all members, and remove what the run left on the nodes."""
        members, nodes = self._members, self._nodes
        self._members, self._nodes = [], {}
        for member in members:
            with self._gone_is_fine():
                self._ray.kill(member.handle)
        with self._gone_is_fine():
            clear = self._ray.remote(station.clear)
            left = [clear.options(num_cpus=0, scheduling_strategy=self._on(node)).remote(run) for node in nodes]
            if left:
                self._ray.wait(left, num_returns=len(left), timeout=_CLEAR_S)

    def _staff(self, node: str, has: dict[str, float], with_gpu: bool) -> None:
        share = GPU_SHARE if with_gpu else 0.0
        count = int(has.get("GPU", 0) / share) if share else max(1, int(has["CPU"] // self._threads))
        made = self._class.options(num_cpus=0, num_gpus=share, scheduling_strategy=self._on(node), max_restarts=0)
        if count:
            self._staffed.add(node)
        for _ in range(count - sum(member.node == node for member in self._members)):
            handle = made.remote(self._sealed)
            self._members.append(Member(node, handle, handle.ready.remote()))

    def _on(self, node: str) -> Any:
        return self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)

    def _refuse_nobody(self) -> None:
        places = self._staffed & set(self._nodes)
        if places and places <= set(self._refused):
            why = [self._refused[node] for node in sorted(places)]
            raise ToolError(
                "no node of the cluster can take part",
                detail="; ".join(f"{unfit.node.name}: {unfit.reason}" for unfit in why[:3]),
                hint="install the same vqa and ffmpeg on all nodes",
            )

    def _gone_is_fine(self) -> AbstractContextManager[None]:
        """Around what ends something, whose process, or the whole cluster, may have ended already."""
        return suppress(self._ray.exceptions.RayError, ConnectionError, RuntimeError)
