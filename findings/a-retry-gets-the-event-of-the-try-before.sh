#!/usr/bin/env bash
# Where the second try of a deferred task begins after the first one failed when it was resumed: Airflow 3.0 and 3.1.
# Needs python3 (3.11 or 3.12) with venv; no network but the package index; two minutes.
set -euo pipefail
PYTHON=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for name in $(env | cut -d= -f1 | grep -E '^AIRFLOW' || true); do unset "$name"; done
export AIRFLOW__CORE__LOAD_EXAMPLES=False AIRFLOW__CORE__DAGS_FOLDER="$folder/dags" SEEN
mkdir "$folder/dags"
cat > "$folder/dags/waits.py" <<'PYTHON'
import datetime as dt
import os
from pathlib import Path

from airflow.sdk import DAG, BaseOperator
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger


class Waits(BaseOperator):
    def execute(self, context):
        self.note(context, "execute")
        self.defer(trigger=TimeDeltaTrigger(dt.timedelta(seconds=0.1)), method_name="resumed")

    def resumed(self, context, event=None):
        self.note(context, "resumed")
        if context["ti"].try_number == 1:
            raise RuntimeError("the first try fails")

    def note(self, context, method):
        with Path(os.environ["SEEN"]).open("a") as seen:
            seen.write(f"try {context['ti'].try_number}: {method}; ")


with DAG("waits", start_date=dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc), schedule=None):
    Waits(task_id="waits", retries=1, retry_delay=dt.timedelta(0))
PYTHON
said=""
for release in 3.0.6 3.1.8; do
    export AIRFLOW_HOME="$folder/home-$release" SEEN="$folder/seen-$release"
    "$PYTHON" -m venv "$folder/$release"
    "$folder/$release/bin/python" -m pip install --quiet --disable-pip-version-check uv
    "$folder/$release/bin/uv" pip install --quiet --python "$folder/$release/bin/python" \
        "apache-airflow-core==$release" "apache-airflow-providers-standard==1.9.1" "sqlalchemy<2" "fastapi<0.118" "starlette<0.49" "structlog<25.5"
    "$folder/$release/bin/airflow" db migrate >"$folder/log" 2>&1
    timeout 100 "$folder/$release/bin/airflow" dags test waits >"$folder/log" 2>&1 || true
    said+="$release: $(cat "$SEEN")"$'\n'
done
echo "Airflow, then each try of one task, run by airflow dags test, and the method that Airflow calls:"
echo -n "$said"
[[ $said == *"3.0.6: try 1: execute; try 1: resumed; try 2: resumed; "$'\n'* ]]
[[ $said == *"3.1.8: try 1: execute; try 1: resumed; try 2: execute; try 2: resumed; "* ]]
echo "On 3.0 the second try is resumed at once, with the event of the first one; execute() is not called. On 3.1 it begins again."
