"""Which Prefect API is used, found out without importing Prefect.

That import takes seconds, and `flows.plugin` runs in the middle of it.
"""

import os
import sys
from pathlib import Path

from flows.errors import ServerError

DEFAULT_URL = "http://127.0.0.1:4200/api"


def prefect_home() -> Path:
    """Returns Prefect's own folder, where its database is."""
    return Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()


def prefect_is_configured() -> bool:
    """Whether a Prefect API is set in the environment or in the active profile."""
    if os.environ.get("PREFECT_API_URL"):
        return True
    import tomllib  # Not before it is wanted: --help waits for this module.

    profiles = os.environ.get("PREFECT_PROFILES_PATH", prefect_home() / "profiles.toml")
    try:
        content = tomllib.loads(Path(profiles).expanduser().read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError):
        return False
    active = os.environ.get("PREFECT_PROFILE", content.get("active", ""))
    return "PREFECT_API_URL" in content.get("profiles", {}).get(active, {})


def noted_url() -> Path:
    """Returns the file in which `flows.serve` notes the address of its server."""
    return prefect_home() / "rurnet-server.url"


def server_url() -> str:
    """Returns the address that `flows.serve` noted, or else the default one."""
    try:
        return noted_url().read_text(encoding="utf-8").strip() or DEFAULT_URL
    except OSError:
        return DEFAULT_URL


def answers(url: str, timeout: float = 1.0) -> bool:
    """Whether a Prefect server answers at an address.

    Args:
        url: `http://HOST:PORT/api`.
        timeout: Seconds to wait for the answer.
    """
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(f"{url}/health", timeout=timeout) as reply:
            return bool(reply.status == 200 and reply.read(16).strip() == b"true")
    except (urllib.error.URLError, OSError, ValueError):
        return False


def no_server(error: Exception) -> str | None:
    """What to say of an error of Prefect's client that means that no server was reached.

    An address of one's own, in the environment or in a profile, is not tried beforehand: a server
    behind a proxy or with certificates of its own answers Prefect alone.

    Returns:
        None where the error means something else.
    """
    if "prefect" not in sys.modules:
        return None
    from httpx import TransportError
    from prefect.settings import PREFECT_API_URL

    from tiling.scenes.names import without_secrets

    if not isinstance(error, TransportError):
        return None
    return (
        f"{without_secrets(str(PREFECT_API_URL.value()))}: no Prefect server answers at this "
        f"PREFECT_API_URL ({error}); start it, or correct the address in the environment or in "
        "the active profile of Prefect"
    )


def find_server() -> None:
    """Points Prefect, which must not be imported yet, to the server of `rurnet serve` or a profile.

    Raises:
        ServerError: There is none.
    """
    if prefect_is_configured():
        return
    url = server_url()
    if not answers(url):
        raise ServerError(
            f"no Prefect server answers at {url}; start `rurnet serve` or `prefect server start` "
            "in another terminal, or set PREFECT_API_URL, then run this again"
        )
    os.environ["PREFECT_API_URL"] = url
