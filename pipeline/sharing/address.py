"""Which place a person means."""

from __future__ import annotations

import re
from pathlib import Path

from videocap.pipeline.sharing.folder import Folder
from videocap.pipeline.sharing.place import Place
from videocap.pipeline.sharing.remote import Remote


def place_of(url: str) -> Place:
    """The place with a URL, or a path.

    Raises:
        ValueError: if nothing installed opens such a URL.
    """
    path = url.removeprefix("file://")
    if "://" in path or "::" in path:
        return Remote(url)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", path):
        raise ValueError(f"{url}: a URL has // behind its colon; a folder of that name is ./{path}")
    return Folder(Path(path).expanduser().absolute())
