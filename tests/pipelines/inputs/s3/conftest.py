"""A server of S3 on this machine."""

import os

import pytest

SECRET = "hidden-in-the-environment"


@pytest.fixture(scope="module")
def bucket():
    """A client of boto3 for a server with the bucket `ours`; the environment leads there."""
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
    server = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    served = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    served.start()
    host, port = served.get_host_and_port()
    told = {
        "AWS_ACCESS_KEY_ID": "ours", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_S3_ENDPOINT": f"{host}:{port}", "AWS_HTTPS": "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE", "AWS_MAX_ATTEMPTS": "1",
    }  # fmt: skip
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
        client.create_bucket(Bucket="ours")
        yield client
    finally:
        served.stop()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
