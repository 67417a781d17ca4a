"""`rurnet upload RUN s3://bucket/prefix`: a finished run in an object store."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pipelines.catalogue.upload import upload as upload_run


def upload(
    run: Annotated[Path, Parameter(help="Folder of a run, with report.json.")],
    target: Annotated[str, Parameter(help="Where to, as in s3://bucket/roads.")],
    /,
) -> None:
    """Upload the files of a finished run to S3, unless the same ones are there; the report last."""
    done = upload_run(run, target, print)
    print(f"{len(done.sent)} files uploaded, {len(done.kept)} were there")
