#!/usr/bin/env bash
# Eight tests are marked as one pytest-xdist group: how many of two workers run them, under two versions of pytest?
# Needs python3 with venv; loopback only; half a minute.
set -euo pipefail
PYTHON=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/test_workers.py" <<'PYTHON'
import os, pathlib, time

import pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(8))
def test_worker(number):
    time.sleep(0.2)
    pathlib.Path(f"worker-{os.environ['PYTEST_XDIST_WORKER']}").touch()
PYTHON
for version in 8.4.2 9.2.0; do
    "$PYTHON" -m venv "$folder/venv-$version"
    "$folder/venv-$version/bin/python" -m pip install --quiet --disable-pip-version-check \
        "pytest==$version" pytest-xdist==3.8.0
    mkdir "$folder/$version"
    cp "$folder/test_workers.py" "$folder/$version"
    (cd "$folder/$version" && "../venv-$version/bin/python" -m pytest -q -p no:cacheprovider -n 2 --dist loadgroup) |
        sed "s/^/pytest $version: /"
done
workers() { find "$folder/$1" -name 'worker-*' | wc -l | tr -d ' '; }
for version in 8.4.2 9.2.0; do
    echo "pytest $version with pytest-xdist 3.8.0, --dist loadgroup: one group of eight tests ran in $(workers "$version") worker(s)"
done
[[ $(workers 8.4.2) == 1 && $(workers 9.2.0) == 2 ]]
echo "pytest-xdist writes the group into a private attribute that pytest 9.2 no longer reads: groups are ignored, without a word."
echo "Tests that share something dear, or must not run at once, can be kept together by the hook pytest_xdist_make_scheduler."
