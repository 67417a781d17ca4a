"""Numbers, settings and times as a person writes them."""

from typing import Any

UNDEFINED = "–"


def number(value: float | None, form: str = ".3f") -> str:
    """A number as it is shown; "n" is a count, "n0" is rounded to one, an en dash undefined."""
    if value is None:
        return UNDEFINED
    if form == "n0":
        form = ",.0f"
    if form == "n":
        form = ",.0f" if float(value).is_integer() else ",.1f"
    text = format(value, form).replace("-", "\N{MINUS SIGN}")
    return text.replace("%", "\N{NO-BREAK SPACE}%")


def plain(value: Any) -> str:
    """A setting in words; lists and dictionaries with commas between their members."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == "":
        return UNDEFINED
    if isinstance(value, dict):
        return ", ".join(f"{key}: {plain(inner)}" for key, inner in value.items()) or UNDEFINED
    if isinstance(value, list | tuple):
        return ", ".join(plain(inner) for inner in value) or UNDEFINED
    return f"{value:g}" if isinstance(value, float) else str(value)


def duration(seconds: float | None) -> str:
    """A time span in at most two units: "1 h 5 min", "1 min 23 s" or "4.2 s"."""
    if seconds is None:
        return UNDEFINED
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
