"""Gather: the features of many items; it plans packs and waits for them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import luigi
from rich.filesize import decimal

from videocap.pipeline.artifacts import events, jobs, publish
from videocap.pipeline.artifacts.results import stat_or_none
from videocap.pipeline.digests import digest
from videocap.pipeline.stages.pack import Pack
from videocap.pipeline.stages.reasons import Earlier, Reason, differences, sentence, waiting
from videocap.pipeline.stages.stage import Stage, imported
from videocap.pipeline.stores.store import MOST_PACKS, Item, Store, read_record

MEMO = 4  # raised when other things are to be remembered
MOST_TOLD = 10  # of the items that failed, with their reasons


def _is_known(value: object, parts: Iterable[str]) -> bool:
    """Whether a value is what `Gather.known` gives."""
    if not isinstance(value, dict) or value.keys() != {"recorded", "settled", "codes", "warnings", "identities"}:
        return False
    lists, identities = (value["codes"], value["warnings"]), value["identities"]
    return all(isinstance(texts, list) and all(isinstance(text, str) for text in texts) for texts in lists) and (
        identities is None or (isinstance(identities, dict) and set(parts) <= identities.keys())
    )


class Gather(Stage):
    """Completes the features of all items that its inputs name, pack by pack."""

    packs: ClassVar[tuple[type[Pack], ...]]
    """The packs that may make the features: which one does, says `kind`."""
    lists: ClassVar[str]
    """`module:function` that gives the items in a file; `needs()` names a file for each part (a split)."""
    most_failures: ClassVar[str | None] = None
    """The config field that holds the largest share of failed items."""
    _wanted: tuple[dict, dict] | None = None

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        for pack in cls.packs:
            while pack:
                pack.gather, pack = cls, pack.after

    def kind(self) -> type[Pack]:
        """Which of `packs` makes the features."""
        return self.packs[0]

    @property
    def pack(self) -> Pack:
        """The pack that stands for the spec of the features."""
        return self.kind().of(self)

    def upstream(self) -> list[type[Stage]]:
        return [*super().upstream(), self.kind()]

    def wanted(self) -> dict[str, list[Item]] | None:
        """The items of each part; None while the inputs are not there."""
        files = {}
        for name, (stage, part) in self.needs().items():
            payload = stage.of(self).payload()
            if payload is None:
                return None
            files[name] = payload / part
        # payloads never change, so that what was read of these files stays right
        if self._wanted is None or self._wanted[0] != files:
            items_in = imported(self.lists)
            self._wanted = files, {part: items_in(file) for part, file in files.items()}
        return self._wanted[1]

    @property
    def store(self) -> Store:
        return self.pack.store

    @property
    def retry(self) -> int:
        return self.pack.retry

    def requires(self) -> list[Stage]:
        """Its own inputs, and those of its packs: without these the spec is not known."""
        return [*super().requires(), *self.pack.requires()]

    def ready(self) -> bool:
        """Whether it is known which items are wanted, and under which spec."""
        return self.key() is not None and self.wanted() is not None

    def items(self) -> list[Item] | None:
        """The items of all parts; None while the inputs are not there."""
        wanted = self.wanted()
        return None if wanted is None else [item for part in wanted.values() for item in part]

    def key(self) -> str | None:
        """Digest of the spec, of what is wanted, and of the retry number; None while an input has no identity."""
        inputs = [stage.of(self).identity(part) for stage, part in self.needs().values()]
        if self.pack.recipe() is None or None in inputs:
            return None
        return digest([self.store.spec_digest, inputs, self.retry])

    def waits_for(self) -> set[type[Stage]]:
        return super().waits_for() | self.pack.waits_for()

    def place(self) -> str | None:
        return self.key() and self._record().relative_to(self.artifacts.root).as_posix()

    def todo(self) -> bool | None:
        known = self.known()
        return None if known is None else not known["settled"]

    def made(self) -> float | None:
        return self.pack.made()

    def nearest(self) -> Earlier | None:
        return self.pack.nearest()

    def reasons(self) -> list[Reason]:
        """Those of its packs, and the inputs that it waits for."""
        found = self.pack.reasons()
        if self.ready() and not found and self.settled() and self._too_many(failed := self.failures()):
            found = [{"what": "failures", "field": self.name, "old": 0, "new": len(failed)}]
        return found + [reason for reason in waiting(self.draft()) if reason not in found]

    def since(self, part: str, identity: str) -> list[Reason]:
        """What differs from the spec and the rows that had this identity; nothing if they are not on record."""
        for store in filter(None, map(Store.open, self.artifacts.stores(self.pack.name))):
            for place in (store.folder / "gathers").glob("[!.]*.json"):
                before = read_record(place).get(part, [])
                if digest({"spec": store.spec_digest, "rows": before}) == identity:
                    return [*differences(store.spec, self.pack.draft()), *self._other_rows(part, before)]
        return []

    def _other_rows(self, part: str, before: list[list[str]]) -> list[Reason]:
        now = {tuple(item) for item in self.held()[part]} if self.todo() is False else None
        if now is None or now == (old := set(map(tuple, before))):
            return []
        names = {"gone": sorted(name for name, _ in old - now), "added": sorted(name for name, _ in now - old)}
        return [{"what": "items", "field": f"{self.name}:{part}", "old": len(old), "new": len(now), **names}]

    def _record(self) -> Path:
        """Where the gather records what it last held: {part: [[id, digest], …]}."""
        return self.store.folder / "gathers" / f"{self.key()[:32]}.json"

    def known(self) -> dict | None:
        """What recorded rows and shards say.

        {"recorded": whether a run has gathered this, "settled": whether no item is missing and not too many failed,
        "codes": digests of the code that made the shards, "warnings": what a person is told of items that failed and
        of the shards, "identities": of the rows of each part, null where the gather has neither been recorded nor is
        settled}.
        Remembered in the store under the names of its files and the sizes of its manifests, so that a run that has
        nothing to do reads no table of items and no manifest.
        """
        if self.key() is None:
            return None
        recorded = stat_or_none(self._record())
        about = [MEMO, self.key(), recorded, self._most(), self.store.signature()]
        memo = self.store.folder / "memo" / f"{digest(about)[:32]}.json"
        known = publish.read_json(memo)
        if not _is_known(known, self.needs()):
            known = None
        if known is None and self.ready():
            before = read_record(self._record())
            failures = self.failures()
            rows, settled = self.held(), self.settled() and (bool(before) or not self._too_many(failures))
            for part in before.keys() & rows.keys():
                if not {source for _, source in before[part]} <= {source for _, source in rows[part]}:
                    rows[part] = before[part]
            identities = {part: self._identity_of(part, rows[part]) for part in rows}
            codes = sorted(filter(None, self.store.index().codes))
            known = {
                "recorded": bool(before),
                "settled": settled,
                "codes": codes,
                "warnings": self._told(failures) + self.pack.remarks(),
            }
            known |= {"identities": identities if before or settled else None}
            if self.store.folder.is_dir():  # who only asks makes no store
                known = publish.remember_json(memo, known, lambda there: _is_known(there, self.needs()))
        return known

    def held(self) -> dict[str, list[list[str]]]:
        """The items of each part that have rows now, sorted."""
        rows = self.store.index().rows
        return {part: sorted([n, d] for n, d in items if d in rows) for part, items in self.wanted().items()}

    def _identity_of(self, part: str, rows: list[list[str]]) -> str:
        return digest({"spec": self.store.spec_digest, "rows": rows})

    def identity(self, part: str = "") -> str | None:
        """Row identity: digest of the spec and the sorted (id, source digest) of the rows there are.

        If rows have gone since the gather recorded them, what it recorded: deleting features makes nothing stale.
        """
        known = self.known()
        return known and known["identities"] and known["identities"][part]

    def result(self, part: str) -> dict[str, Path]:
        """The shard that holds each item of a part, by source digest; items that failed are left out.

        Raises ValueError if these are not the rows that the keys of what follows speak of.
        """
        rows = self.store.index().rows
        if self._identity_of(part, self.held()[part]) != self.identity(part):
            raise ValueError(f"features have gone from {self.store.folder} meanwhile; run the same command again")
        return {source: rows[source] for _, source in self.wanted()[part] if source in rows}

    def settled(self) -> bool:
        return not self.store.index().lacking(self.items(), self.retry)

    def complete(self) -> bool:
        known = self.known()
        return known is not None and known["recorded"] and known["settled"]

    def run(self) -> Iterator[list[luigi.Task]]:
        """Yield the packs of the plan as one list, and of the next plan should rows go missing meanwhile.

        Luigi starts this anew after each yield, which finds the same plans.
        """
        jobs.enter(self.experiment)
        self.experiment.forget()
        if not (self.ready() and self.settled()) and not self.experiment.needs_of_any(self):
            return
        if not self.ready():
            raise ValueError(f"{self.name}: an input has changed while this ran; run the same command again")
        attempt = 0
        while not self.settled():
            if attempt == 0:
                self.log("start", items=len(self.items()), why=sentence(self.reasons()), waits=True)
                self._announce()
                jobs.write(self.experiment)
            if attempt == 100:
                raise ValueError(f"{self.name}: shards disappear as fast as they are made from {self.store.folder}")
            size = self.experiment.config.pipeline.shard_size * self.pack.bulk
            place, packs = self.store.plan(self.items(), self.retry, attempt, size)
            plan = place.relative_to(self.artifacts.root).as_posix()
            yield [self.pack.pack(self, plan, number, pack) for number, pack in enumerate(packs)]
            attempt += 1
        self._check_failures()
        publish.replace_json(self._record(), self.held())
        self.pack.drop_read()
        mine = {"stage": self.name, "event": "start", "experiment": self.experiment.config.experiment.name}
        started = [event for event in events.read(self.artifacts.root) if mine.items() <= event.items()]
        if started:
            self.log("ran", items=len(self.items()), seconds=round(time.time() - started[0]["time"], 3))

    def chain(self) -> list[Pack]:
        """Its packs, in the order in which they run."""
        packs = [self.pack]
        while packs[0].after:
            packs.insert(0, packs[0].after.of(self))
        return packs

    def _announce(self) -> None:
        """Say what is ahead; raises ValueError if the disk is too small for it."""
        *before, last = self.chain()
        drops = last.keep_field is not None and not last.field(last.keep_field)
        # of what is dropped once it has been read, one worker has a shard or two there at a time
        size = max(self.experiment.config.pipeline.shard_size * last.bulk, len(last.ahead()) // MOST_PACKS + 1)
        few = 2 * size if drops and luigi.interface.core().workers == 1 else None
        need = sum(pack.amount(pack.ahead()[:few])["bytes"] for pack in before) + last.amount(last.ahead())["bytes"]
        free = shutil.disk_usage(self.artifacts.root).free
        work = "; ".join(f"{pack.name} {pack.amount_text(pack.ahead())}" for pack in [*before, last])
        events.LOG.info("%s: ahead are up to %s. %s of disk are free.", self.title(), work, decimal(free))
        if need > free and all(pack.certain() for pack in [*before, last]):
            can_drop = last.keep_field is not None and not drops
            raise ValueError(
                f"up to {decimal(need)} are to be written, and {self.artifacts.root} has {decimal(free)} free: make "
                "room, or keep the artifacts on a larger disk"
                + (f", or with one worker let go what is read: --override {last.keep_field}=false" if can_drop else "")
            )

    def failures(self) -> list[dict]:
        """The items without rows: [{"id", "digest", "reason", "retry"}], sorted by id."""
        index = self.store.index()
        failed = [(name, index.failures[d]) for name, d in self.items() if d not in index.rows and d in index.failures]
        return [{**failure, "id": name} for name, failure in sorted(failed, key=lambda pair: pair[0])]

    def _most(self) -> float:
        return self.field(self.most_failures) if self.most_failures else 1.0

    def _too_many(self, failures: list[dict]) -> bool:
        items = self.items()
        return len(failures) > self._most() * len(items) or (bool(items) and len(failures) == len(items))

    def _check_failures(self) -> None:
        failures, items = self.failures(), self.items()
        if self._too_many(failures):
            some = len(failures) < len(items)
            allows = f", more than {self.most_failures} = {self._most()} allows" if some else ""
            higher = f", or raise {self.most_failures} (what is done is kept)" if some else ""
            raise ValueError(
                f"{len(failures)} of {len(items)} {self.pack.holds[0]} failed{allows}, such as "
                f"{'; '.join(map(_one, failures[:3]))}. Repair or remove them{higher}, "
                f"or try them again as they are by {self._again(failures)}"
            )

    def warnings(self) -> list[str]:
        known = self.known()
        return known["warnings"] if known else []

    def _told(self, failures: list[dict]) -> list[str]:
        """The first of the items that failed, each with its reason, then how many there are and what to do."""
        if not failures:
            return []
        cure = f"what is repaired is tried by itself, the rest again by {self._again(failures)}"
        rest = "; `videocap status --json` names them all" if len(failures) > MOST_TOLD else ""
        count = f"{len(failures)} {self.pack.holds[0]} failed and are left out{rest}; {cure}"
        return [*map(_one, failures[:MOST_TOLD]), count]

    def _again(self, failures: list[dict]) -> str:
        """The override by which they are tried once more."""
        return f"--override {self.pack.retry_field}={max(failure['retry'] for failure in failures) + 1}"


def _one(failure: dict) -> str:
    """A failed item and its reason, on one line."""
    text = f"{failure['id']}: {failure['reason']}"
    return text if text.isprintable() else repr(text)[1:-1]
