"""Prefect plugin: `prefect deployment run infer-roads`, typed in the project's root.

Prefect wants `FLOW/DEPLOYMENT`; with this plugin, a name without a slash stands for `name/name`.
Where no API is configured, it points Prefect to the server that `flows.serve` started, so that
Prefect does not start a temporary one. Prefect loads the plugin while Prefect itself is being
imported (entry point group `prefect.plugins`, switched on in pyproject.toml).
"""

import os
import sys
from typing import Any

from prefect.plugins import register_hook

from flows.service.api import answers, server_url
from flows.service.wrapping import Method, wrap_once


@register_hook
def setup_environment(*, ctx: Any) -> Any:
    """Prefect's hook: accepts short names, and points to the project's server.

    Args:
        ctx: Prefect's `HookContext`.

    Returns:
        Prefect's `SetupResult`, or None where nothing is to be set.
    """
    _take_short_names()
    if ctx.api_url or os.environ.get("PREFECT_API_URL"):
        return None
    url = server_url()
    if answers(url):
        from prefect.plugins import SetupResult

        return SetupResult(env={"PREFECT_API_URL": url}, note=f"server of flows.serve at {url}")
    if sys.argv[1:3] == ["deployment", "run"]:
        sys.exit(
            "error: no Prefect server is running; start `python -m flows.serve` in another "
            "terminal, then run this again"
        )
    return None


def _take_short_names() -> None:
    """Lets `read_deployment_by_name` of both clients take a name without a slash."""
    from prefect.client.orchestration import PrefectClient, SyncPrefectClient

    def with_short_names(original: Method) -> Method:
        def read(self: Any, name: str) -> Any:
            return original(self, name if "/" in name else f"{name}/{name}")

        return read

    for client in (PrefectClient, SyncPrefectClient):
        wrap_once(client, "read_deployment_by_name", with_short_names)
