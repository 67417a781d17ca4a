#!/usr/bin/env bash
# A palette of an odd number of 8-bit colours is refused by pydicom, one of an even number is not.
#
# Expected: apply_color_lut() gives the colours of a palette of 3 colours, as of one of 4.
# Happens: a value in DICOM has an even length, so the three bytes of each colour are followed by
#   a byte of padding. pydicom takes the bits of an entry from the length over the number of
#   entries, gets 10.67, and raises TypeError: data type 'uint11' not understood. From 17 colours on
#   it is ValueError: of 255 colours, a bit depth of '8.0' is invalid, and only 8 or 16 are allowed.
# Why it matters: palettes are written with just as many colours as a picture has; whether it can
#   be read then depends on whether that is an odd number.
# A way round: cut the data to as many bytes as the descriptor says.
# Versions: pydicom 3.0.2, numpy 2.4.6, Python 3.11.
# Seen: 2026-11-28.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check \
    pydicom==3.0.2 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PY'
import sys

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut


def first_colour(count):
    data = Dataset()
    for colour in ("Red", "Green", "Blue"):
        setattr(data, f"{colour}PaletteColorLookupTableDescriptor", [count, 0, 8])
        table = bytes(range(1, count + 1))
        setattr(data, f"{colour}PaletteColorLookupTableData", table + b"\0" * (count % 2))
    try:
        return apply_color_lut(np.zeros((1, 1), np.uint8), data)[0, 0].tolist()
    except (TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


print(f"pydicom {pydicom.__version__}, numpy {np.__version__}")
found = {count: first_colour(count) for count in (3, 4, 17, 18, 255)}
for count, told in found.items():
    print(f"{count:3d} colours: {told}")
refused = [count for count, told in found.items() if isinstance(told, str)]
# Printed on the date above:
#   pydicom 3.0.2, numpy 2.4.6
#     3 colours: TypeError: data type 'uint11' not understood
#     4 colours: [1, 1, 1]
#    17 colours: ValueError: The bit depth of the LUT data '8.5' is invalid (only 8 or 16 bits per entry allowed)
#    18 colours: [1, 1, 1]
#   255 colours: ValueError: The bit depth of the LUT data '8.0' is invalid (only 8 or 16 bits per entry allowed)
if refused != [3, 17, 255]:
    sys.exit("CHANGED: palettes of an odd number of colours are no longer refused")
PY
