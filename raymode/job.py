"""What every job does around its own work: read the configuration, join Ray, and turn errors into one line."""

import contextlib
import sys
import traceback
from collections.abc import Callable, Sequence

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
    code: int | None
    try:
        config = load(arguments)
        if needs_ray(config):
            begun = config
        code = _with_ray(config, work) if begun else work(config)
        last = _post_mortem(begun, None, failed=bool(code))
    except RaymodeError as error:
        code, last = 2, [f"error: {error}"]
        if not isinstance(error, BusyError | ConfigError):  # those are told in one line
            last += _post_mortem(begun, error)
    except KeyboardInterrupt:
        code, last = 130, ["stopped; give the same command again to go on"]
    except Exception as error:
        code, last = 1, [traceback.format_exc().rstrip(), *_post_mortem(begun, error)]
    _leave_ray(last)
    sys.exit(code or 0)


def _post_mortem(begun: Config | None, error: Exception | None, failed: bool = True) -> list[str]:
    """Leave a post-mortem and return what says where, or delete an earlier one; what keeps it from that fails nothing."""
    if not begun:
        return []
    from raymode import postmortem

    try:
        if not failed:
            postmortem.clear(begun)
        elif page := postmortem.leave(begun, error):
            return [f"post-mortem: {page}"]
    except Exception as second:
        return [f"post-mortem: could not be written: {brief(second)}"]
    return []


def _leave_ray(last: Sequence[str]) -> None:
    """Say the last words once Ray is left, so that no worker's line comes after them; also if leaving is cut short."""
    try:
        with contextlib.suppress(KeyboardInterrupt):
            if cluster := sys.modules.get("raymode.cluster"):  # else it never came to it
                cluster.disconnect()
    finally:
        for words in last:
            print(words, file=sys.stderr, flush=True)


def _with_ray(config: Config, work: Callable[[Config], int | None]) -> int | None:
    """Run `work` as the only driver of its run directory; storage that cannot be written is found out first."""
    Store(config.run_dir, HASTY).probe()  # a wrong address is found out at once
    store = Store(config.run_dir)
    with exclusive(store):
        store.remove_partials()
        from raymode.cluster import connect

        connect(config.ray)
        return work(config)
