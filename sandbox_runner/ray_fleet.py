"""The actors of the Ray engine: one on each live node, all alike, replaced when they die.

A node is taken as Ray describes it: it counts if it has CPUs to give, and an actor reserves as many
as it will use. One whose actors keep dying, or which has become unlike the others, is left out.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox_runner.engine import EngineError
from sandbox_runner.jail import IsolationError
from sandbox_runner.ray_node import MAX_CALLS, NodeJudge, local_facts

_log = logging.getLogger(__name__)

START_S = 120.0  # for an actor: its node may have to unpack the package first
CLOSE_S = 5.0
REFRESH_S = 10.0  # between two looks at which nodes there are
DEATHS = 5  # of a place's actors, with no batch finished between them, until it is left out

_AGREED = ("tier", "python", "judge")
_REMEDY = (
    "sandbox_runner must be importable on every node: install codeprm-jax there, or submit the job "
    "with --working-dir"
)


@dataclass(eq=False)
class Place:
    """Room for one actor on one node, and the actor that has it now.

    Attributes:
      ready: the reply to the actor's `start`, while that is awaited.
      load: batches in its hands.
      alone: it holds a batch that must have no company.
      deaths: of its actors, since one last finished a batch.
    """

    node_id: str
    name: str
    index: int
    cpus: int
    workers: int
    actor: Any = None
    ready: Any = None
    began: float = 0.0
    load: int = 0
    alone: bool = False
    deaths: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, int]:
        """What tells places apart."""
        return self.node_id, self.index


class Fleet:
    """All actors of an engine. Its methods may be called from any thread.

    Attributes:
      tier: the isolation of all of them.

    Raises:
      IsolationError: some nodes do not offer the isolation that was asked for; names them.
      EngineError: nodes differ in what decides a verdict, or none came up; names them.
    """

    def __init__(
        self,
        ray: Any,
        workers_per_node: int | None,
        allow_weak_isolation: bool,
        actors_per_node: int,
    ) -> None:
        self._ray = ray
        self._workers, self._weak = workers_per_node, allow_weak_isolation
        self._actors_per_node = actors_per_node
        self._lock = threading.RLock()
        self._places: dict[tuple[str, int], Place] = {}
        self._left_out: dict[str, str] = {}
        self._agreed: dict[str, Any] = local_facts()
        self._looked = 0.0
        self._actor_class = ray.remote(NodeJudge)
        try:
            self.refresh(now=True)
            self._begin()
        except BaseException as error:
            self.close()
            if isinstance(error, ImportError):  # so ray:// says that a node lacks the class
                raise EngineError(f"no actor could be started: {error}. {_REMEDY}") from error
            raise
        self.tier: str = self._agreed["tier"]

    @property
    def workers(self) -> int:
        """How many jobs run at once."""
        return sum(p.workers for p in self._places.values() if p.facts)

    def refresh(self, now: bool = False) -> None:
        """Starts actors on nodes that have joined; looks at most every REFRESH_S seconds."""
        with self._lock:
            if not now and time.monotonic() < self._looked + REFRESH_S:
                return
            self._looked = time.monotonic()
            for node in self._ray.nodes():
                cpus = int(node["Resources"].get("CPU", 0)) if node["Alive"] else 0
                if not cpus or node["NodeID"] in self._left_out:
                    continue
                share = max(1, cpus // self._actors_per_node)
                workers = self._workers or share
                for index in range(self._actors_per_node):
                    if (node["NodeID"], index) not in self._places:
                        name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
                        cpus = min(share, workers)
                        place = Place(node["NodeID"], name, index, cpus, workers)
                        self._places[place.key] = place
                        self._start(place)
            for place in list(self._places.values()):
                if place.ready is not None and time.monotonic() > place.began + START_S:
                    self.lost(place, place.actor, self._late(place))

    def idlest(self, batch_size: int) -> Place | None:
        """The place with the least to do for its size that may be given a batch, or None."""
        with self._lock:
            # One batch that runs, and behind it enough for the pool to look ahead.
            free = [
                p
                for p in self._places.values()
                if p.facts and not p.alone and p.load <= -(-2 * p.workers // batch_size)
            ]
            return min(free, key=lambda p: p.load / p.workers, default=None)

    def took(self, place: Place, alone: bool) -> Any:
        """Counts a batch as in the hands of a place; returns its actor."""
        with self._lock:
            place.load += 1
            place.alone = alone
            return place.actor

    def gave_back(self, place: Place, actor: Any, finished: bool) -> None:
        """A batch is no longer with this actor: finished, or not awaited any more."""
        with self._lock:
            if place.actor is actor:
                place.load -= 1
                place.alone = False
                if finished:
                    place.deaths = 0

    def starting(self) -> list[Any]:
        """The replies of new actors that are awaited."""
        with self._lock:
            return [p.ready for p in self._places.values() if p.ready is not None]

    def started(self, ready: Any) -> None:
        """Takes in the reply of a new actor; one that does not fit is left out with a warning."""
        with self._lock:
            for place in list(self._places.values()):
                if place.ready is ready:
                    try:
                        facts = self._facts(place)
                    except self._ray.exceptions.RayError as error:
                        self.lost(place, place.actor, error)
                        return
                    if "missing" in facts:
                        self._leave_out(place, f"it has not the isolation: {facts['missing']}")
                    elif differing := _differences(facts, self._agreed):
                        self._leave_out(place, f"it is unlike the others: {differing}")
                    else:
                        place.facts, place.ready = facts, None

    def lost(self, place: Place, actor: Any, error: object) -> None:
        """Replaces an actor that died or broke, unless that was done already.

        Raises:
          EngineError: that was the last one, and its place is of no use.
        """
        with self._lock:
            if place.actor is not actor or self._places.get(place.key) is not place:
                return
            self._kill(actor)
            place.deaths += 1
            alive = {n["NodeID"] for n in self._ray.nodes() if n["Alive"]}
            if place.node_id not in alive:
                self._remove(place)
                _log.warning("node %s is gone; its batches go to others", place.name)
            elif place.deaths >= DEATHS:
                self._leave_out(place, f"its actor died {DEATHS} times in a row: {gist(error)}")
            else:
                _log.warning("the actor on %s is replaced: %s", place.name, gist(error))
                self._start(place)
            if not self._places:
                self.refresh(now=True)
            if not self._places:
                reasons = "; ".join(f"{n}: {why}" for n, why in self._left_out.items())
                raise EngineError(
                    f"no node of the Ray cluster is left to judge on ({reasons or 'all are gone'})"
                )

    def drop(self, places: set[Place], run: str) -> None:
        """Tells actors that nobody waits for a run any longer."""
        with self._lock:
            for place in places:
                with contextlib.suppress(Exception):
                    place.actor.drop.remote(run)

    def close(self) -> None:
        """Ends all actors, and with them their programs; returns within seconds."""
        with self._lock:
            actors = [p.actor for p in self._places.values() if p.actor is not None]
            self._places.clear()
        # An actor that is given the time removes its scratch folders too.
        if self._ray.is_initialized():
            closing = [a.close.remote() for a in actors]
            if closing:
                self._ray.wait(closing, num_returns=len(closing), timeout=CLOSE_S)
            for actor in actors:
                self._kill(actor)

    def _begin(self) -> None:
        places = list(self._places.values())
        if not places:
            raise EngineError(
                "no node of the Ray cluster has a CPU to give; start nodes with --num-cpus"
            )
        refs = [p.ready for p in places]
        self._ray.wait(refs, num_returns=len(refs), timeout=START_S)
        missing, failed = {}, {}
        for place in places:
            try:
                place.facts = self._facts(place)
            except self._ray.exceptions.RayError as error:
                failed[place] = error
                continue
            place.ready = None
            if "missing" in place.facts:
                missing[place] = place.facts["missing"]
        if missing:
            place, why = next(iter(missing.items()))
            raise IsolationError(f"on {_names(missing)}: {why}")
        up = [p for p in places if p not in failed]
        if not up:
            place, reason = next(iter(failed.items()))
            raise EngineError(
                f"no actor could be started; on {place.name}: {gist(reason)}. {_REMEDY}"
            )
        groups: dict[tuple[Any, ...], list[Place]] = {}
        for place in up:
            groups.setdefault(tuple(place.facts.get(n) for n in _AGREED), []).append(place)
        self._agreed |= {"tier": up[0].facts["tier"]}
        if len(groups) > 1 or _differences(up[0].facts, self._agreed):
            found = "; ".join(
                f"{_names(places)}: tier {tier}, Python {python}, judge {judge}"
                for (tier, python, judge), places in sorted(groups.items(), key=str)
            )
            here = "Python {python}, judge {judge}".format(**self._agreed)
            raise EngineError(
                f"the nodes differ in what decides a verdict ({found}; here: {here}); labels "
                "must come from one kind: make them alike or start the cluster without some"
            )
        for place, reason in failed.items():
            self.lost(place, place.actor, reason)

    def _start(self, place: Place) -> None:
        scheduling = self._ray.util.scheduling_strategies
        here = scheduling.NodeAffinitySchedulingStrategy(place.node_id, soft=False)
        place.actor = self._actor_class.options(
            num_cpus=place.cpus,
            max_concurrency=MAX_CALLS,
            max_restarts=0,  # we replace it ourselves, and know what it had in hand
            scheduling_strategy=here,
        ).remote(place.workers, self._weak)
        place.facts, place.load, place.alone = {}, 0, False
        place.ready, place.began = place.actor.start.remote(), time.monotonic()

    def _facts(self, place: Place) -> dict[str, Any]:
        try:
            facts: dict[str, Any] = json.loads(self._ray.get(place.ready, timeout=1.0))
        except self._ray.exceptions.GetTimeoutError:
            raise self._late(place) from None
        return facts

    def _late(self, place: Place) -> Exception:
        error: Exception = self._ray.exceptions.GetTimeoutError(
            f"no answer within {START_S:.0f} s; it needs {place.cpus} CPUs that nothing else holds"
        )
        return error

    def _leave_out(self, place: Place, why: str) -> None:
        _log.warning("node %s is left out: %s", place.name, why)
        self._left_out[place.node_id] = why
        self._kill(place.actor)
        self._remove(place)

    def _remove(self, place: Place) -> None:
        del self._places[place.key]

    def _kill(self, actor: Any) -> None:
        with contextlib.suppress(Exception):
            self._ray.kill(actor, no_restart=True)


def _differences(facts: Mapping[str, Any], agreed: Mapping[str, Any]) -> str:
    found = [f"{n} {facts.get(n)} not {agreed[n]}" for n in _AGREED if facts.get(n) != agreed[n]]
    return ", ".join(found)


def _names(places: Mapping[Place, Any] | list[Place]) -> str:
    return ", ".join(sorted(p.name for p in places))


def gist(error: object) -> str:
    """What an error says, shortened: Ray's go on for pages."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # colours
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:1] + lines[-1:] if len(lines) > 1 else lines)[:500]
