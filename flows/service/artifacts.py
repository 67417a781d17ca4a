"""What a flow run leaves in Prefect: its scores, a picture, and where its report lies."""

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from flows.service.reports import link_to
from pipelines.results.failure import said_once
from pipelines.results.progress import Progress

if TYPE_CHECKING:
    from pipelines.report.previews import Picture
    from pipelines.results.outcome import SceneOutcome
    from pipelines.results.result import Result

_LONGEST = 900
"""Longest side of the picture, in pixels."""

_FOUND = (255, 60, 40)
"""Colour of what was found."""


class Outcomes(Progress):
    """Remembers the outcome of each scene."""

    def __init__(self) -> None:
        self.by_name: dict[str, SceneOutcome] = {}

    def finished(self, outcome: "SceneOutcome") -> None:
        """See `Progress`."""
        self.by_name[outcome.name] = outcome


def leave_artifacts(name: str, result: "Result", outcomes: Outcomes) -> None:
    """Leaves the scores as a table, a link to the report, a picture, and the outcome in words.

    Args:
        name: Of the flow.
        result: Of its run.
        outcomes: Of its scenes; the one with the lowest F1 is shown, or else the first one.
    """
    if result.built is None:
        create_markdown_artifact(
            _dry_run_in_words(name, result),
            key=f"{name}-report",
            description=result.nothing or result.done,
        )
        return
    page = result.folder.resolve() / "report.html"
    if result.reported:
        create_link_artifact(
            link_to(page), link_text="open the report", key=f"{name}-page", description=str(page)
        )
    if scores := _score_rows(result):
        create_table_artifact(
            scores, key=f"{name}-scores", description=f"Scores of {result.report.scoring.counted}"
        )
    if (shown := _worst(result)) is not None and shown[0] in outcomes.by_name:
        scene, said = shown
        if picture := _picture_of(outcomes.by_name[scene], result):
            create_image_artifact(picture, key=f"{name}-worst", description=said)
    create_markdown_artifact(
        _in_words(name, result, page, scores),
        key=f"{name}-report",
        description=result.nothing or result.done,
    )


def _score_rows(result: "Result") -> list[dict[str, str | float | None]]:
    """The scores of each scene, without columns in which there is nothing."""
    # Imported here: it loads torch, which must find its environment set.
    from pipelines.report.columns import TERMINAL
    from pipelines.report.table import rows

    found = rows(result.report)
    titles = {
        title: path
        for title, path in TERMINAL.items()
        if any(values.get(path) is not None for _, values in found)
    }
    return [
        {"scene": scene, **{title: _rounded(values.get(path)) for title, path in titles.items()}}
        for scene, values in found
    ]


def _in_words(
    name: str, result: "Result", page: Path, scores: list[dict[str, str | float | None]]
) -> str:
    report = result.report
    lines = [f"# {name}", ""]
    if result.nothing is not None:
        lines += [result.nothing, ""]
    if result.reported:
        lines += [f"[Open the report]({link_to(page)}): `{page}`", ""]
    for path in result.trained:
        lines += [f"Weights: `{path.resolve()}`", ""]
    if report.this_run is not None and result.nothing is None:
        lines.append(f"{result.done}.")
    elif result.nothing is None:
        lines.append(f"{len(report.scenes)} done, {len(result.failed)} failed, "
                     f"{len(report.skipped)} left out.")  # fmt: skip
    lines += ["", *(f"- failed: {line}" for line in said_once(result.failed))]
    lines += [f"- left out: {skipped.error}" for skipped in report.skipped]
    if scores:
        lines += ["", "| " + " | ".join(scores[0]) + " |", "|---" * len(scores[0]) + "|"]
        lines += ["| " + " | ".join(map(_cell, score.values())) + " |" for score in scores]
    return "\n".join(lines)


def _dry_run_in_words(name: str, result: "Result") -> str:
    lines = [f"# {name}", ""]
    if result.nothing is not None:
        lines += [result.nothing, ""]
    lines += [f"- failed: {line}" for line in said_once(result.failed)]
    lines += [
        f"- dry run: {one.name}: {one.left} of {one.tiles} tiles left, {one.parts} parts, "
        + ("" if one.seconds is None else f"{one.seconds:.0f} s, ")
        + f"at most {one.memory / 1e9:.1f} GB of memory and {one.disk / 1e9:.2f} GB of disk"
        for one in result.estimates or []
        if one.done
    ]
    return "\n".join(lines)


def _picture_of(outcome: "SceneOutcome", result: "Result") -> str | None:
    """A scene with what was found in it, as the URL of an image; None where there is none."""
    from pipelines.report.previews import level_shown, previews

    level = level_shown(result.report.scoring.threshold)
    bands = result.report.settings.get("bands")
    chosen = [int(band) for band in bands.split(",")] if bands else None
    for picture in previews([outcome], {outcome.name: None}, level, chosen):
        return "data:image/webp;base64," + base64.b64encode(_drawn(picture)).decode()
    return None


def _drawn(picture: "Picture") -> bytes:
    from PIL import Image

    from tiling.blend import NODATA

    image = Image.open(io.BytesIO(picture.image)).convert("RGB")
    levels = Image.open(io.BytesIO(picture.steps[-1])).convert("L")
    found = levels.point(
        lambda level: 170 if picture.threshold_level <= level < NODATA else 0  # Of 255: opaque.
    )
    image.paste(Image.new("RGB", image.size, _FOUND), mask=found)
    image.thumbnail((_LONGEST, _LONGEST))
    encoded = io.BytesIO()
    image.save(encoded, "WEBP", quality=75)
    return encoded.getvalue()


def _worst(result: "Result") -> tuple[str, str] | None:
    """The scene with the lowest F1, and what is said of it; the first one where none is scored."""
    from pipelines.scores.scores import score_at

    scenes = result.report.scenes
    scored = [(f1, scene.name) for scene in scenes
              if (f1 := score_at(scene.scores, "foreground.f1")) is not None]  # fmt: skip
    if scored:
        f1, name = min(scored)
        return name, f"{name}: the lowest F1, {f1:.3f}; found is red"
    return (scenes[0].name, f"{scenes[0].name}; found is red") if scenes else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _cell(value: str | float | None) -> str:
    return "–" if value is None else str(value)
