"""`imbalance-bench cache ...`: tiles and features on disk."""

from pathlib import Path

import click

from imbalance_bench.cli.options import CACHE_READ_OPTION


@click.group()
def cache() -> None:
    """Show and clear cached tiles and features."""


@cache.command("list")
@CACHE_READ_OPTION
def list_(cache: Path) -> None:
    """Show each store: what it holds, its size, when it was last used and by which studies."""
    from imbalance_bench.cli.cache_view import print_caches

    print_caches(cache)


@cache.command()
@click.option("--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Not used for this many days.")
@click.option("--down-to", type=click.FloatRange(min=0), metavar="GIB", help="Least recently used, until GIB are left.")
@click.option("--orphaned", is_flag=True, help="Used by studies that are all gone.")
@click.option("--yes", is_flag=True, help="Delete them. Without it they are only listed.")
@CACHE_READ_OPTION
def clean(older_than: float | None, down_to: float | None, orphaned: bool, yes: bool, cache: Path) -> None:
    """List the stores that can go; delete them with --yes. A study that needs one again makes it again."""
    from imbalance_bench.cli.cache_view import clean_and_print

    if older_than is None and down_to is None and not orphaned:
        raise click.UsageError("Give --older-than DAYS, --down-to GIB or --orphaned.")
    clean_and_print(cache, older_than=older_than, down_to=down_to, orphaned=orphaned, delete=yes)
