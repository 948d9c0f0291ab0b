"""Apache Airflow provider for ByteDance Seedream image sets, served by WaveSpeedAI."""

__version__ = "0.1.0"
