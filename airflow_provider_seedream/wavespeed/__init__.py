"""The vendor's API: prompts, requests, predictions, errors, calls and clients. Knows nothing of Airflow."""
