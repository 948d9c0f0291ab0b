"""The command line: ``python -m airflow_provider_seedream``, and ``airflow seedream`` where Airflow takes commands of providers.

It may import every other room, and no other room imports it.
"""
