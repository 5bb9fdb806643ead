"""A Dask cluster as workers: the address of its scheduler is all that is asked for.

In: an address such as tcp://10.0.0.5:8786. Out: Workers, as many as the cluster has threads. The workers need this
project as their folder, and the market's files under the same paths; trials of one worker process run one at a time, so
start them with --nthreads 1. Talks to the scheduler; needs dask[distributed] (backtest/requirements.txt).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client

from backtest.sweep.running import Workers
from models import ConfigurationError

ANSWER_SECONDS = 10


@contextmanager
def dask_cluster(address: str) -> Iterator[Workers]:
    """Raises ConfigurationError where nobody answers, or nobody works."""
    try:
        client = Client(address, timeout=ANSWER_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ConfigurationError(f"--dask {address}: no Dask scheduler answers there ({error})") from None
    with client:
        threads = sum(client.nthreads().values())
        if threads == 0:
            raise ConfigurationError(f"--dask {address}: the scheduler has no worker")
        yield Workers(client.get_executor(), threads)
