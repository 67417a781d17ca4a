"""What tells at a glance whether a scene's files have changed: their sizes and times.

Not whether its result may be kept, which its manifest tells from its pixels: only whether it has to
be opened at all, and whether somebody is still writing it.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pipelines.inbox.ledger import Look
from tiling.scenes.names import file_behind, kind_of, stem_of

_FRESH_S = 60.0
"""Files that have not changed for so long are not looked at a second time."""

_APART_S = 5.0
"""Between two looks: network file systems show changes only after some seconds."""


def look_at(sources: Mapping[str, str], others: Mapping[str, Iterable[str]]) -> dict[str, Look]:
    """Looks at the files of scenes: their own, those beside them of their stems, and others.

    Args:
        sources: What each scene is opened by, by its name.
        others: More files that a scene is made from, such as the sources of a mosaic.

    Returns:
        Size and time by absolute path, of each scene; empty where it is no local file.
    """
    folders: dict[Path, dict[str, list[Path]]] = {}
    return {name: _look(source, others.get(name, ()), folders) for name, source in sources.items()}


def is_gone(source: str, look: Look) -> bool:
    """Whether somebody took a scene's file away.

    Args:
        source: What the scene is opened by.
        look: The last one at its files; empty where there were none any more.
    """
    name = Path(source).name
    own = [path for path in look if Path(path).name == name]
    if not own and kind_of(source) == "path":
        own = [source]
    return bool(own) and not any(Path(path).exists() for path in own)


def still_written(
    looks: Mapping[str, Look],
    again: Callable[[list[str]], Mapping[str, Look]],
    pause: Callable[[float], None] = time.sleep,
) -> set[str]:
    """Finds the scenes that somebody is still writing, by looking a second time.

    Args:
        looks: The first look at each scene, by its name.
        again: Looks once more at the scenes of these names.
        pause: Waits for so many seconds. It is called only if a file changed within a minute.

    Returns:
        Names of the scenes whose files have changed in between.
    """
    since = (time.time() - _FRESH_S) * 1e9
    fresh = [
        name for name, look in looks.items() if any(changed > since for _, changed in look.values())
    ]
    if not fresh:
        return set()
    pause(_APART_S)
    now = again(fresh)
    return {name for name in fresh if now[name] != looks[name]}


def _look(source: str, others: Iterable[str], folders: dict[Path, dict[str, list[Path]]]) -> Look:
    own = file_behind(source)
    if own is None:
        return {}
    file = Path(own)
    if file.parent not in folders:
        folders[file.parent] = _by_stem(file.parent)
    beside = folders[file.parent].get(stem_of(own), [])
    found: dict[str, list[int]] = {}
    for path in (file, *beside, *map(Path, others)):
        try:
            stat = path.stat()
        except OSError:
            continue
        if path.is_file():
            found[str(path.absolute())] = [stat.st_size, stat.st_mtime_ns]
    return dict(sorted(found.items()))


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    """The files of a folder by what their names begin with, up to any of their dots."""
    found = defaultdict(list)
    for path in folder.iterdir():
        parts = path.name.split(".")
        for count in range(1, len(parts)):
            found[".".join(parts[:count])].append(path)
    return found
