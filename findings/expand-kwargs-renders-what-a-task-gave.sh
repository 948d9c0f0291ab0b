#!/usr/bin/env bash
# Which mapped values Airflow's own operators render as templates, when the values come from an upstream task.
# Needs python3 (3.11 to 3.13) with venv; no network but the package index; one to three minutes.
set -euo pipefail
PYTHON=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$PYTHON" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" \
    apache-airflow-core==3.3.2 apache-airflow-task-sdk==1.3.2 apache-airflow-providers-standard==1.21.0
for name in $(env | cut -d= -f1 | grep '^AIRFLOW' || true); do unset "$name"; done
export AIRFLOW_HOME="$folder/home" AIRFLOW__CORE__DAGS_FOLDER="$folder/dags" AIRFLOW__CORE__LOAD_EXAMPLES=False \
    AIRFLOW__LOGGING__LOGGING_LEVEL=CRITICAL AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=False PYTHONWARNINGS=ignore
mkdir -p "$folder/dags"
cat > "$folder/dags/mapped.py" <<'PYTHON'
import datetime as dt

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, task

with DAG("mapped", schedule=None, start_date=dt.datetime(2026, 1, 1)) as dag:

    @task
    def texts():
        return ["echo '{{ 7 * 6 }}'"]

    @task
    def arguments():
        return [{"bash_command": "echo '{{ 7 * 6 }}'"}]

    BashOperator.partial(task_id="by_expand").expand(bash_command=texts())
    BashOperator.partial(task_id="by_expand_kwargs").expand_kwargs(arguments())

if __name__ == "__main__":
    import importlib.metadata

    run = dag.test()
    seen = {
        t.task_id: str(t.xcom_pull(task_ids=t.task_id, map_indexes=0))
        for t in run.get_task_instances()
        if t.task_id.startswith("by_")
    }
    names = ("apache-airflow-core", "apache-airflow-task-sdk", "apache-airflow-providers-standard")
    print("versions:", *(f"{name} {importlib.metadata.version(name)}" for name in names))
    print("an upstream task gave the text {{ 7 * 6 }}; the mapped task echoed:", seen)
    assert seen == {"by_expand": "{{ 7 * 6 }}", "by_expand_kwargs": "42"}, seen
    print("expand(argument=task) keeps the text as it is; expand_kwargs(task) renders the same text as a template.")
    print("So a task whose text may come from a language model must not hand it on by expand_kwargs().")
PYTHON
"$folder/venv/bin/airflow" db migrate >/dev/null 2>&1
"$folder/venv/bin/airflow" dags reserialize >/dev/null 2>&1
"$folder/venv/bin/python" "$folder/dags/mapped.py" 2>/dev/null
