"""What a stage makes, and what is known of it: one protocol, whether it is files under a key, a store, or rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from videocap.pipeline.artifacts.results import Artifacts
from videocap.pipeline.digests import file_digest
from videocap.pipeline.stages import history
from videocap.pipeline.stages.history import Earlier
from videocap.pipeline.stages.reasons import Reason, differences, waiting
from videocap.pipeline.stages.recipe import Recipe
from videocap.pipeline.stores.store import Store


class Product(Protocol):
    """What status, sharing, the report and the commands ask of any stage's product."""

    @property
    def key(self) -> str | None:
        """Under which it is published; None while an input has no identity yet."""

    @property
    def done(self) -> bool:
        """Whether all of it is there."""

    @property
    def place(self) -> str | None:
        """Where it lies, from the artifacts folder; None while the key is not known."""

    @property
    def made(self) -> float | None:
        """When it was made, in seconds since 1970."""

    @property
    def size(self) -> int:
        """Its bytes."""

    def identity(self, part: str = "") -> Any | None:
        """What a stage behind puts into its own key for a part, or None if it is not known yet."""

    def value(self, part: str) -> Any:
        """What a stage behind is given of a part. Raises ValueError if it is gone or damaged."""

    def todo(self) -> bool | None:
        """Whether a run of the stage would have something to make; None while that is not known."""

    def dropped(self) -> bool:
        """Whether what nobody needs any more is gone."""

    def made_by(self) -> set[str | None]:
        """Digests of the code that made it."""

    @property
    def store(self) -> Store | None:
        """The store, of what is kept in shards."""

    def manifest(self) -> dict | None:
        """What was published under the key, where that is one thing."""

    def payload(self) -> Path | None:
        """The folder of its files, where there is one, if they are all there."""

    def nearest(self) -> Earlier | None:
        """The earlier one whose recipe differs least from the present one."""

    def reasons(self) -> list[Reason]:
        """What differs from the nearest earlier one, and what the stage waits for."""

    def since(self, part: str, identity: str) -> list[Reason]:
        """What differs from the earlier one a part of which had this identity; nothing if that is not on record."""

    def warnings(self) -> Sequence[str]:
        """What a person is told whenever it is used."""

    def about(self) -> dict[str, Any]:
        """What `videocap status --json` tells of it besides."""


class Result:
    """Files under a key.

    Args:
        recipe: whose key it is.
        artifacts: where it is published.
        by_key: what follows depends on the key, not on the content.
    """

    def __init__(self, recipe: Recipe, artifacts: Artifacts, by_key: bool):
        self.recipe, self.artifacts, self.by_key = recipe, artifacts, by_key
        self.store = None

    @property
    def key(self) -> str | None:
        return self.recipe.key

    def manifest(self) -> dict | None:
        return self.artifacts.manifest(self.recipe.name, self.key) if self.key else None

    def payload(self) -> Path | None:
        """The folder of the files, or None if they are not all there."""
        return self.artifacts.payload(self.recipe.name, self.key) if self.key else None

    @property
    def done(self) -> bool:
        return self.payload() is not None

    @property
    def place(self) -> str | None:
        return self.key and f"{self.recipe.name}/{self.key}"

    @property
    def made(self) -> float | None:
        manifest = self.manifest()
        return manifest and manifest["created"]

    @property
    def size(self) -> int:
        manifest = self.manifest()
        return sum(file["size"] for file in manifest["files"].values()) if manifest else 0

    def identity(self, part: str = "") -> str | None:
        manifest = self.manifest()
        if not manifest:
            return None
        if self.by_key:
            return manifest["key"]
        return manifest["files"][part]["sha256"] if part in manifest["files"] else manifest["content"]

    def value(self, part: str) -> Path:
        """A file of the result, checked against its digest, or a folder of it."""
        payload = self.payload()
        if payload is None:
            raise ValueError(f"the result of {self.recipe.name} is gone; run the same command again to make it anew")
        # of all files only if there are few: a folder of videos is checked video by video, by those who read it
        files = self.manifest()["files"]
        for name in [part] if part in files else list(files) if not part and len(files) < 20 else []:
            if file_digest(payload / name) != files[name]["sha256"]:
                raise ValueError(f"{payload / name} is damaged; delete {payload.parent} and run again")
        return payload / part

    def todo(self) -> bool | None:
        return None if self.key is None else not self.done

    def dropped(self) -> bool:
        return False

    def made_by(self) -> set[str | None]:
        manifest = self.manifest()
        return {manifest["provenance"].get("code")} if manifest else set()

    def nearest(self) -> Earlier | None:
        return history.nearest(map(Earlier.of, self.artifacts.newest(self.recipe.name)), self.recipe.draft())

    def reasons(self) -> list[Reason]:
        draft, nearest = self.recipe.draft(), self.nearest()
        found = differences(nearest.recipe, draft) if nearest else waiting(draft)
        return [one | {"unread": self.recipe.unread()} if is_unread(one) else one for one in found]

    def since(self, part: str, identity: str) -> list[Reason]:
        had = [
            Earlier.of(manifest)
            for manifest in self.artifacts.newest(self.recipe.name)
            if identity in (manifest["key"], manifest["content"], manifest["files"].get(part, {}).get("sha256"))
        ]
        return history.since(had, self.recipe.draft())

    def warnings(self) -> Sequence[str]:
        return ()

    def about(self) -> dict[str, Any]:
        return {}


def is_unread(reason: Reason) -> bool:
    """Whether a reason is that files outside are to be read again."""
    return reason["field"] == "files" and reason["new"] is None
