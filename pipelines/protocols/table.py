"""The table of a benchmark, for a terminal and as `benchmark.md`."""

from collections.abc import Mapping, Sequence

from pipelines.protocols.result import Benchmark, TestScores

_COLUMNS = {
    "F1 (95 % interval)": "foreground.f1",
    "break-even": "break_even.value",
    "class-mean IoU": "class_mean.iou",
    "AUC": "roc_auc",
    "relaxed break-even": "relaxed.break_even",
}
"""Columns of pooled scores by their titles; after the first comes F1 as a mean over images."""

_MEAN = "F1, mean of images"

_F1 = "foreground.f1"

HEADINGS = ("network", "parameters", "operations", "run", *list(_COLUMNS)[:1], _MEAN,
            *list(_COLUMNS)[1:])  # fmt: skip


def rows(benchmark: Benchmark) -> list[tuple[str, ...]]:
    """The rows of the table under `HEADINGS`: runs, their mean, the second observer."""
    network = benchmark.network
    what = (
        network.name,
        f"{network.parameters / 1e6:.3f} M",
        f"{network.operations / 1e9:.2f} G",
    )
    found = [(*what, run.name, *_cells(run.scores)) for run in benchmark.runs]
    if benchmark.sd:
        over = [f"{benchmark.mean[path]:.3f} ± {benchmark.sd[path]:.3f}"
                if path in benchmark.mean else "–" for path in _COLUMNS.values()]  # fmt: skip
        of_images = f"{_of_images(benchmark):.3f}"
        found.append((*what, f"mean ± sd of {len(benchmark.runs)} seeds", over[0], of_images,
                      *over[1:]))  # fmt: skip
    if benchmark.runs and (second := benchmark.runs[-1].second) is not None:
        found.append(("–", "–", "–", "second observer", *_cells(second)))
    return found


def _of_images(benchmark: Benchmark) -> float:
    """Mean of the runs' mean F1 of images."""
    return sum(run.scores.mean[_F1] for run in benchmark.runs) / len(benchmark.runs)


def _cells(scores: TestScores) -> tuple[str, ...]:
    pooled = [_number(scores.pooled, path) for path in _COLUMNS.values()]
    if (ends := scores.intervals.get(_F1)) is not None:
        pooled[0] += f" ({ends[0]:.3f}–{ends[1]:.3f})"
    return pooled[0], _number(scores.mean, _F1), *pooled[1:]


def _number(scores: Mapping[str, float], path: str) -> str:
    return f"{scores[path]:.3f}" if path in scores else "–"


def as_markdown(benchmark: Benchmark) -> str:
    """The contents of `benchmark.md`."""
    data, network = benchmark.data, benchmark.network
    done = len(benchmark.runs)
    wanted = len(benchmark.seeds) or 1
    parts = [
        f"# {benchmark.title}",
        *(f"**{remark}**" for remark in benchmark.remarks),
        *([f"**Not done yet: {done} of {wanted} runs.**"] if done < wanted else []),
        _table(HEADINGS, rows(benchmark)),
        f"Operations: multiply-adds of all {network.steps} steps for an image of "
        f"{network.pixels} x {network.pixels} pixels. F1 and IoU are at threshold "
        f"{benchmark.threshold:g}. Scores are pooled over all test images unless the title says "
        "otherwise; the interval is a bootstrap over images. Relaxed: within 3 pixels. What each "
        "score is: docs/scores.md.",
        "## Protocol",
        _list(
            {
                "Split": benchmark.source,
                "Scored": benchmark.counted,
                "Trained on" if benchmark.followed else "Would train on": _names(data.train),
                "Weights chosen on": _names(data.chose) if data.chose else _held_out(benchmark),
                "Tested on": _names(data.test),
            }
        ),
        "## Others on the same test images",
        _table(
            ("network", "score", "source", "differs from ours"),
            [(one.network, one.score, one.source, one.differs) for one in benchmark.published],
        )
        if benchmark.published
        else "None that was checked.",
        "## Settings",
        _list({name: f"`{value}`" for name, value in benchmark.settings.items()}),
        "## Files",
        _list(
            {
                "Data": f"{data.files} files; `data.sha256` has the SHA-256 of each, and "
                f"`sha256sum --check` compares them. SHA-256 of that list: `{data.sha256}`",
                **{
                    f"{name} ({run.name})": f"SHA-256 `{digest}`"
                    for run in benchmark.runs
                    for name, digest in run.weights.items()
                },
                **{f"Report of {run.name}": run.report for run in benchmark.runs},
            }
        ),
        f"RurNet {benchmark.version}, Python {benchmark.made_with.python}, "
        f"{', '.join(f'{name} {found}' for name, found in benchmark.made_with.packages.items())}; "
        f"{benchmark.made_with.device or benchmark.made_with.processor}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _held_out(benchmark: Benchmark) -> str:
    """Which of the training images chose the weights."""
    if not benchmark.followed:
        return "unknown"
    chosen = {tuple(names) for run in benchmark.runs for names in run.held_out.values()}
    if len(chosen) > 1:
        return "others of the training images in each training, which `benchmark.json` names"
    return "; ".join(f"{_names(names)}, held out of the training images" for names in chosen) or (
        "some of the training images"
    )


def _names(names: Sequence[str]) -> str:
    """How many images, and which, where a line has room for them."""
    shown = [*names] if len(names) <= 30 else [*names[:3], "...", names[-1]]
    return f"{len(names)} images ({', '.join(shown)})"


def _list(entries: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in entries.items())


def _table(headings: Sequence[str], found: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *found]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
