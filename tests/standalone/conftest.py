"""Two Airflows for all tests of this layer, on SQLite and on PostgreSQL: each takes most of a minute to start."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_seedream.emulator import Emulator
from tests.layers import ON_POSTGRES
from tests.standalone.postgres import is_installed, postgres
from tests.standalone.rest import Airflow
from tests.standalone.standalone import Standalone
from tests.statsd import StatsdServer

HERE = Path(__file__).parent
EXAMPLES = HERE.parent.parent / "example_dags"

KEY = "canary-key-4f1d8e0b7a"
"""Accepted by the emulator. Long and odd, so that finding it anywhere means that it leaked."""
WRONG_KEY = "canary-key-of-somebody-else-93c2"


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with Emulator(api_key=KEY, median_seconds=4.0) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def chaotic() -> Iterator[Emulator]:
    """The account of the chaos run; its API tells inputs, so that a lost submission can be told from the others."""
    with Emulator(api_key=KEY, median_seconds=8.0, balance=1000.0, result_input=True) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def bronze() -> Iterator[Emulator]:
    """An account that may submit twice a minute; its minute lasts six seconds."""
    with Emulator(api_key=KEY, median_seconds=0.5, tier="bronze", minute=6.0) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def telling() -> Iterator[Emulator]:
    """An account whose API tells the input of a prediction."""
    with Emulator(api_key=KEY, median_seconds=1.0, result_input=True) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def silent() -> Iterator[Emulator]:
    """An account whose API does not."""
    with Emulator(api_key=KEY, median_seconds=1.0, result_input=False) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that tests and the DAGs in ``dags/`` share."""
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="session")
def statsd() -> Iterator[StatsdServer]:
    """Gets the metrics of this package, and no others, from every process of Airflow."""
    with StatsdServer() as server:
        yield server


@pytest.fixture(scope="session")
def account() -> Iterator[Emulator]:
    """An account whose API tells the input of a prediction, so that a lost one can be told from others."""
    with Emulator(api_key=KEY, median_seconds=0.5, spread=0, result_input=True) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def slow() -> Iterator[Emulator]:
    """Another such account, which one task has for itself."""
    with Emulator(api_key=KEY, median_seconds=0.5, spread=0, result_input=True) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def on_sqlite(
    emulator: Emulator,
    bronze: Emulator,
    telling: Emulator,
    silent: Emulator,
    chaotic: Emulator,
    statsd: StatsdServer,
    scratch: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Standalone]:
    refused = {"conn_type": "seedream", "host": emulator.url, "password": WRONG_KEY}
    unreachable = {"conn_type": "seedream", "host": "http://127.0.0.1:9", "password": KEY}
    standalone = Standalone(
        tmp_path_factory.mktemp("airflow") / "home",
        dag_files=[*EXAMPLES.glob("example_seedream_*.py"), *HERE.glob("dags/*.py")],
        env={
            "AIRFLOW_CONN_SEEDREAM_DEFAULT": emulator.airflow_connection(),
            "AIRFLOW_CONN_SEEDREAM_CHAOS": chaotic.airflow_connection(read_timeout=5),
            "AIRFLOW_CONN_SEEDREAM_BRONZE": bronze.airflow_connection(),
            "AIRFLOW_CONN_SEEDREAM_TELLING": telling.airflow_connection(),
            "AIRFLOW_CONN_SEEDREAM_SILENT": silent.airflow_connection(),
            "AIRFLOW_CONN_SEEDREAM_WRONG_KEY": json.dumps(refused),
            "AIRFLOW_CONN_SEEDREAM_UNREACHABLE": json.dumps(unreachable),
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(statsd.port),
            "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
            "AIRFLOW__METRICS__METRICS_ALLOW_LIST": r"^seedream\.",
            "SEEDREAM_APPROVED": f"file://{scratch}/approved",
            "SEEDREAM_CAMPAIGNS": f"file://{scratch}/campaigns",
            "SEEDREAM_MORNINGS": f"file://{scratch}/mornings",
            "SEEDREAM_POOL": "seedream",
            "SEEDREAM_TEST_SCRATCH": str(scratch),
        },
    )
    with standalone.running():
        yield standalone


@pytest.fixture(scope="session")
def on_postgres(
    account: Emulator,
    slow: Emulator,
    chaotic: Emulator,
    scratch: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Standalone]:
    with postgres() as database:
        standalone = Standalone(
            tmp_path_factory.mktemp("airflow-on-postgres") / "home",
            dag_files=[HERE / "dags" / "chaos.py", HERE / "dags" / "hostile.py"],
            env={
                "AIRFLOW_CONN_SEEDREAM_DEFAULT": account.airflow_connection(),
                "AIRFLOW_CONN_SEEDREAM_SLOW": slow.airflow_connection(),
                "AIRFLOW_CONN_SEEDREAM_CHAOS": chaotic.airflow_connection(read_timeout=5),
                "SEEDREAM_TEST_SCRATCH": str(scratch),
            },
            database=database,
        )
        with standalone.running():
            assert standalone.query("select version()")[0][0].startswith("PostgreSQL")
            yield standalone


@pytest.fixture(scope="module")
def standalone(request: pytest.FixtureRequest) -> Standalone:
    """The Airflow of a file. Where PostgreSQL is missing, what does not need it runs on SQLite."""
    postgresql = request.path.name in ON_POSTGRES and is_installed()
    found: Standalone = request.getfixturevalue("on_postgres" if postgresql else "on_sqlite")
    return found


@pytest.fixture(scope="module")
def airflow(standalone: Standalone) -> Iterator[Airflow]:
    airflow = Airflow(standalone)
    yield airflow
    airflow.close()
