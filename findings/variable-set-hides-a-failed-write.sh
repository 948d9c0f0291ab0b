#!/usr/bin/env bash
# What a task learns from Variable.set where Airflow's API server answers that it could not write: Airflow 3.1 and 3.3.
# Needs python3 (3.11 to 3.13) with venv; no network but the package index; a minute and a half.
set -euo pipefail
PYTHON=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for name in $(env | cut -d= -f1 | grep -E '^AIRFLOW' || true); do unset "$name"; done
export AIRFLOW_HOME="$folder/home"
cat > "$folder/write.py" <<'PYTHON'
import importlib.metadata
import json
import logging

from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import comms, task_runner

logging.disable(logging.CRITICAL)
asked = []


class Supervisor:
    """Passes on what the supervisor of a task gets from an API server that cannot write."""

    def send(self, message):
        asked.append(type(message).__name__)
        raise AirflowRuntimeError(comms.ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 500}))


task_runner.SUPERVISOR_COMMS = Supervisor()
try:
    Variable.set("color", "blue")
except AirflowRuntimeError as error:
    told = f"raises {type(error).__name__}"
else:
    told = "returns as if it were written"
print(json.dumps([importlib.metadata.version("apache-airflow-core"), asked[-1], told]))
PYTHON
seen=""
for release in 3.1.8 3.3.2; do
    "$PYTHON" -m venv "$folder/$release"
    "$folder/$release/bin/python" -m pip install --quiet --disable-pip-version-check uv
    "$folder/$release/bin/uv" pip install --quiet --python "$folder/$release/bin/python" "apache-airflow-core==$release"
    seen+="$("$folder/$release/bin/python" "$folder/write.py" 2>/dev/null | tail -n 1)"$'\n'
done
echo "Airflow, the request to the supervisor, what Variable.set then does in the task:"
echo -n "$seen"
[[ $seen == *'["3.1.8", "PutVariable", "returns as if it were written"]'* ]]
[[ $seen == *'["3.3.2", "PutVariable", "raises AirflowRuntimeError"]'* ]]
echo "On 3.1 a task that writes a Variable does not learn that nothing was written; only its log says so. On 3.3 it does."
