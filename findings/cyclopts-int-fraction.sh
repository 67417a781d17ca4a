#!/usr/bin/env bash
# Cyclopts takes a fraction for an int option and rounds it half to even, without a word.
#
# Expected: "--tile 512.5" for an int is refused, as argparse and pydantic refuse it.
# Happens: the text becomes a float, then is rounded half to even: 511.5 and 512.5 both give 512,
#   and 0.5 gives 0. "1e3", which is a whole number, is refused. A whole number written with a
#   decimal point passes through a float and loses digits: 9007199254740993.0 gives ...992.
# Why it matters: a batch job runs with another tile, overlap, step count or seed than was typed,
#   and its record says that this is what was asked for. The same value sent as JSON to a pydantic
#   model is refused, so a command line and a deployment of one job do not agree.
# A way round: annotate such a parameter with a converter that takes digits only.
# Versions: cyclopts 5.5.2, Python 3.11.
# Seen: 2026-11-28.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check \
    cyclopts==5.5.2 pydantic==2.14.4
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PY'
import argparse
import sys
from importlib.metadata import version

import cyclopts
import pydantic


class Job(pydantic.BaseModel):
    tile: int = 1


app = cyclopts.App(result_action="return_value")


@app.default
def run(*, tile: int = 1) -> int:
    return tile


def command_line(text: str) -> int | str:
    try:
        return app(["--tile", text], exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError:
        return "refused"


def stdlib(text: str) -> int | str:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--tile", type=int)
    try:
        return parser.parse_args(["--tile", text]).tile
    except argparse.ArgumentError:
        return "refused"


def model(text: str) -> int | str:
    try:
        return Job(tile=text).tile
    except pydantic.ValidationError:
        return "refused"


print(f"cyclopts {version('cyclopts')}, pydantic {version('pydantic')}")
typed = ["512", "511.5", "512.5", "0.5", "1e3", "9007199254740993.0"]
seen = {text: (command_line(text), model(text), stdlib(text)) for text in typed}
for text, (ours, strict, plain) in seen.items():
    print(f"{text:18} cyclopts {ours!s:17} pydantic {strict!s:17} argparse {plain}")
# Printed on the date above:
#   cyclopts 5.5.2, pydantic 2.14.4
#   512                cyclopts 512               pydantic 512               argparse 512
#   511.5              cyclopts 512               pydantic refused           argparse refused
#   512.5              cyclopts 512               pydantic refused           argparse refused
#   0.5                cyclopts 0                 pydantic refused           argparse refused
#   1e3                cyclopts refused           pydantic refused           argparse refused
#   9007199254740993.0 cyclopts 9007199254740992  pydantic 9007199254740993  argparse refused
#   A fraction for an int option is rounded half to even by cyclopts.
if [seen[text][0] for text in typed] != [512, 512, 512, 0, "refused", 9007199254740992]:
    sys.exit("CHANGED: cyclopts reads fractions for an int in another way")
if {answer for text in ("511.5", "512.5", "0.5") for answer in seen[text][1:]} != {"refused"}:
    sys.exit("CHANGED: pydantic or argparse takes a fraction for an int")
print("A fraction for an int option is rounded half to even by cyclopts.")
PY
