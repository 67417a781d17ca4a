"""`python -m benchmarks.sizes`: parameters of every network, beside those of the paper."""

from rich.console import Console
from rich.table import Table

from rurnet.network import parameter_count
from rurnet.registry import NETWORKS, create

PAPER = {"dru-4": "0.36 M", "unet-gn": "under 0.5 M", "unet-bn": "under 0.5 M"}


def main() -> None:
    """Prints the table."""
    table = Table("network", "parameters", "paper", box=None)
    for name in NETWORKS:
        table.add_row(name, f"{parameter_count(create(name)) / 1e6:.3f} M", PAPER.get(name, ""))
    Console().print(table)


if __name__ == "__main__":
    main()
