"""What may be deleted from an artifacts folder: all that no experiment under `runs/` and no running job needs."""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from videocap.pipeline.artifacts import jobs, publish
from videocap.pipeline.artifacts.jobs import UNFINISHED
from videocap.pipeline.artifacts.outside import MOST_RECORDS
from videocap.pipeline.artifacts.results import Artifacts
from videocap.pipeline.artifacts.shapes import is_places
from videocap.pipeline.stores.imported import is_foreign
from videocap.pipeline.stores.plans import read_record
from videocap.pipeline.stores.store import Store, stores_in


@dataclass
class Garbage:
    """Files that belong together: the first are to be deleted first, so that no manifest names what is gone."""

    place: str
    what: str
    paths: list[Path]
    size: int = field(init=False)

    def __post_init__(self):
        files = {file for path in self.paths for file in _files(path)}
        self.size = sum(file.lstat().st_size for file in files)

    def delete(self) -> None:
        """Raises OSError for what can't be deleted."""
        for path in self.paths:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


@dataclass
class Kept:
    """What is needed: places in the artifacts folder, items of stores (None: all), and stages of which all is."""

    places: set[str] = field(default_factory=set)
    items: dict[str, set[str] | None] = field(default_factory=dict)
    stages: set[str] = field(default_factory=set)

    def keep(self, stage: str, place: str | None, items: set[str] | None) -> None:
        if place is None:
            self.stages.add(stage)
            return
        self.places.add(place)
        if place.startswith("stores/"):
            store = "/".join(place.split("/")[:2])
            known = self.items.get(store, set())
            self.items[store] = None if items is None or known is None else known | items


def find(artifacts: Artifacts) -> list[Garbage]:
    """All garbage, by place.

    Raises ValueError for an experiment that does not say what it needs.
    """
    kept = _kept(artifacts)
    found = [*_results(artifacts, kept), *_shards(artifacts, kept), *_others(artifacts, kept)]
    return sorted(found, key=lambda garbage: garbage.place)


def _kept(artifacts: Artifacts) -> Kept:
    kept = Kept()
    for needs in jobs.needs(artifacts):
        for stage, place in needs.items():
            kept.keep(stage, place, None)
    for link in sorted((artifacts.root / "runs").glob("[!.]*")):
        needs = publish.read_json(link / "made_of.json")
        if not is_places(needs):
            raise ValueError(
                f"{link} does not say what it needs, so nothing can be called garbage: run that experiment again, "
                "or delete the link"
            )
        records = [read_record(artifacts.root / p) for p in needs.values() if p and "/gathers/" in p]
        rows = [row for record in records if record for part in record.values() for row in part]
        items = {digest for _, digest in rows} if all(records) else None
        for stage, place in needs.items():
            kept.keep(stage, place, items)
    return kept


def _results(artifacts: Artifacts, kept: Kept) -> list[Garbage]:
    found = []
    for folder in sorted(artifacts.root.glob("[A-Z]*/*")):
        place = folder.relative_to(artifacts.root).as_posix()
        if not re.fullmatch("[0-9a-f]{64}", folder.name) or folder.parent.name in kept.stages:
            continue
        manifest = artifacts.manifest(folder.parent.name, folder.name)
        if place not in kept.places and manifest:
            experiment = manifest["provenance"].get("experiment", "an experiment")
            what = f"made for {experiment}, {_day(manifest['created'])}"
            found.append(Garbage(place, what, [folder / "manifest.json", folder]))
        elif manifest:
            rest = [path for path in folder.iterdir() if path.name not in ("manifest.json", manifest["payload"])]
            found += [Garbage(f"{place}/{path.name}", "unfinished", [path]) for path in rest if _given_up(path)]
    return found


def _shards(artifacts: Artifacts, kept: Kept) -> list[Garbage]:
    found = []
    for folder in stores_in(artifacts.root):
        place = folder.relative_to(artifacts.root).as_posix()
        store, items = Store.open(folder), kept.items.get(place, set())
        if store is None or items is None or folder.is_symlink() or folder.name.rpartition("-")[0] in kept.stages:
            continue
        shards = list(store.manifests().values())
        foreign = is_foreign(store.spec)  # nothing here could make these again
        if place not in kept.items and not foreign:
            made = f", {_day(store.newest()['created'])}" if shards else ""
            found.append(Garbage(place, f"all {len(shards)} shards{made}", [*store.files(), folder]))
            continue
        # a failure on record spares the next run an attempt
        needed = {m["key"] for m in shards if foreign or m["failures"] or not items.isdisjoint(m["digests"])}
        paths = store.files(lambda manifest, needed=needed: manifest["key"] not in needed)
        what = f"{len(paths) // 2} of {len(shards)} shards, old records"
        paths += [path for path in folder.glob("gathers/*") if f"{place}/gathers/{path.name}" not in kept.places]
        paths += [*folder.glob("plans/*"), *folder.glob("memo/*")]
        named = {manifest["payload"] for manifest in shards}
        left = [] if foreign else folder.glob("*.h5")  # a damaged manifest is no reason to lose what can't be made
        loose = [path for path in [*left, *folder.glob(".*")] if path.name not in named]
        paths += [path for path in loose if _given_up(path)]
        if paths:
            found.append(Garbage(place, what, paths))
    return found


def _others(artifacts: Artifacts, kept: Kept) -> list[Garbage]:
    root = artifacts.root
    linked = {link.resolve() for link in (root / "runs").glob("[!.]*")}
    found = [Garbage(f"runs/{path.name}", "shown before", [path]) for path in (root / "runs").glob(".*")]
    found = [garbage for garbage in found if garbage.paths[0].resolve() not in linked]
    labels = {path.name.rpartition("-")[0] for path in (root / "sources").glob("*-*.json")}
    records = [path for label in labels for path in artifacts.outside.records(label)[MOST_RECORDS:]]
    records = [path for path in records if f"sources/{path.name}" not in kept.places]
    found += [Garbage(f"sources/{path.name}", "an old record of files", [path]) for path in records]
    work = [path for path in artifacts.scratch.glob("*-*") if _given_up(path)]
    return found + [Garbage(f"scratch/{path.name}", "unfinished", [path]) for path in work]


def _given_up(path: Path) -> bool:
    try:
        newest = max(p.lstat().st_mtime for p in [path, *path.rglob("*")])
    except OSError:  # somebody is at work there
        return False
    return time.time() - newest > UNFINISHED


def _day(created: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(created))


def _files(path: Path) -> list[Path]:
    """A file or link itself, or all of a folder."""
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    return [file for file in inside if file.is_symlink() or file.is_file()]
