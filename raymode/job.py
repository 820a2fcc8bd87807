"""What every job does around its own work: read the configuration, join Ray, and turn errors into one line."""

import sys
import traceback
from collections.abc import Callable

from raymode.config import Config
from raymode.config_load import help_table, load
from raymode.errors import BusyError, ConfigError, RaymodeError, brief
from raymode.lock import exclusive
from raymode.store import HASTY, Store


def main(
    description: str,
    work: Callable[[Config], int | None],
    needs_ray: Callable[[Config], bool] = lambda config: True,
) -> None:
    """Run `work` on the configuration of the command line and exit: 0 done, 1 failed, 2 wrong input.

    The configuration is checked whole before Ray starts.
    """
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        print(
            f"{description}\n\nusage: python {sys.argv[0]} [config=NAME|FILE] [key=value ...]\n\nkeys:\n{help_table()}"
        )
        sys.exit(0)
    begun: Config | None = None
    try:
        config = load(arguments)
        if needs_ray(config):
            begun = config
        code = _with_ray(config, work) if begun else work(config)
    except RaymodeError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        if begun and not isinstance(error, BusyError | ConfigError):  # those are told in one line
            _post_mortem(begun, error)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; give the same command again to go on", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        traceback.print_exc()
        if begun:
            _post_mortem(begun, error)
        sys.exit(1)
    if begun:
        _post_mortem(begun, None, failed=bool(code))
    sys.exit(code or 0)


def _post_mortem(config: Config, error: Exception | None, failed: bool = True) -> None:
    """Leave a post-mortem and say where, or delete an earlier one; what keeps it from that hides nothing and fails nothing."""
    from raymode import postmortem

    try:
        if not failed:
            postmortem.clear(config)
        elif page := postmortem.leave(config, error):
            print(f"post-mortem: {page}", file=sys.stderr, flush=True)
    except Exception as second:
        print(f"post-mortem: could not be written: {brief(second)}", file=sys.stderr, flush=True)


def _with_ray(config: Config, work: Callable[[Config], int | None]) -> int | None:
    """Run `work` as the only driver of its run directory; storage that cannot be written is found out first.

    Ray is gone when it returns or raises: no worker's line comes after the last word of the job.
    """
    Store(config.run_dir, HASTY).probe()  # a wrong address is found out at once
    from raymode.cluster import connect, disconnect

    store = Store(config.run_dir)
    try:
        with exclusive(store):
            store.remove_partials()
            connect(config.ray)
            return work(config)
    finally:
        disconnect()
