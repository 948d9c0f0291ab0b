"""``python -m airflow_provider_seedream``: the command line without Airflow's own."""

from airflow_provider_seedream.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
