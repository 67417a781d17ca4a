#!/usr/bin/env bash
# A job of Prefect's default template is refused by strict validation of Kubernetes.
#
# Expected: `prefect work-pool create --type kubernetes` makes a pool whose jobs are valid; a
#   validator such as kubeconform finds nothing in them.
# Happens: the template has `parallelism: 1` and `completions: 1` in the spec of the pod
#   (spec.template.spec), two fields of a job (spec). Kubernetes knows no such fields of a pod. Its
#   server drops unknown fields, with a warning at most, so the jobs run and nobody sees it; with
#   strict field validation they are refused. The template of prefect-kubernetes 0.8.0 has them too.
# Why it matters: who sets `completions` or `parallelism` in that place changes nothing, silently;
#   who checks manifests strictly in CI, or has an admission policy that does, gets no job at all.
# Versions: prefect 3.9.1, kubernetes-validate 1.37.0 (schemas of Kubernetes 1.33), Python 3.11.
# Seen: 2026-11-28.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check \
    prefect==3.9.1 'fastapi<0.150' kubernetes-validate==1.37.0
cd "$work"
PREFECT_HOME="$work/home" "$work/venv/bin/python" -W ignore - <<'PY'
import json
import sys
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path

from kubernetes_validate import ValidationError, validate
from prefect.utilities.templating import apply_values

package = Path(find_spec("prefect").origin).parent
views = package / "server/api/collections_data/views/aggregate-worker-metadata.json"
worker = json.loads(views.read_text())["prefect-kubernetes"]["kubernetes"]
template = worker["default_base_job_configuration"]
values = {
    name: told["default"]
    for name, told in template["variables"]["properties"].items()
    if told.get("default") is not None
}
values |= {"name": "run", "image": "busybox", "command": ["true"]}
job = apply_values(template["job_configuration"], values)["job_manifest"]


def said(manifest, strict):
    try:
        validate(manifest, "1.33", strict=strict)
    except ValidationError as error:
        return str(error).splitlines()[0]
    return "valid"


moved = deepcopy(job)
pod = moved["spec"]["template"]["spec"]
for name in ("parallelism", "completions"):
    moved["spec"][name] = pod.pop(name, 1)
lax, strict, mended = said(job, False), said(job, True), said(moved, True)
print(f"the default template: {lax}")
print(f"                      strictly: {strict}")
print(f"both fields moved to the job, strictly: {mended}")
if lax != "valid" or "parallelism" not in strict or mended != "valid":
    sys.exit("CHANGED: the default template is valid strictly, or refused for another reason")
PY
