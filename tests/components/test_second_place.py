"""The id of what was paid, where Airflow's store is away at that moment: on this machine, until the store has it."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from dataclasses import replace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.submission import second_place
from airflow_provider_seedream.submission.record import Phase, SubmissionRecord
from tests.components.airflow_context import Tries, WorkerKilledError, killed, run

pytestmark = pytest.mark.usefixtures("hurried")

STORE_AWAY = "airflow_provider_seedream.submission.submission.Submission._persist"

INTENT = SubmissionRecord(
    Phase.INTENT, "f" * 64, 0, 0.07, 1_700_000_000.25, 1_700_000_200.0, deadline=1_700_003_600.0
)


def operator():
    return SeedreamSequentialOperator(task_id="gen", prompt="2 images. First, a fox. Second, an owl.")


def run_and_kill_at(monkeypatch, place, tries):
    with monkeypatch.context() as patch:
        patch.setattr(place, killed)
        with pytest.raises(WorkerKilledError):
            run(operator(), tries)


def files():
    return list(second_place._folder().iterdir())


@pytest.mark.event("The worker dies while Airflow cannot record the id")
@pytest.mark.parametrize("store", [True, False], ids=["state store", "Variables"])
def test_a_worker_that_dies_before_the_id_is_recorded_is_followed_by_a_try_that_resumes_it(
    seedream_emulator, monkeypatch, caplog, store
):
    tries = Tries(store=store)
    run_and_kill_at(monkeypatch, STORE_AWAY, tries)
    (paid,) = seedream_emulator.predictions
    assert len(files()) == 1
    caplog.set_level(logging.INFO)
    # The API shows nothing: only what this machine keeps leads to the prediction.
    seedream_emulator.faults.add("list", faults.Status(503), times=None)
    assert run(operator(), tries)["prediction_id"] == paid["id"]
    assert (
        f"Prediction {paid['id']} was paid for by an earlier try, which could not record it." in caplog.text
    )
    assert seedream_emulator.paid_tasks == 1
    assert files() == []


@pytest.mark.event("The worker dies while Airflow cannot record the id")
def test_on_another_machine_the_submission_is_lost(seedream_emulator, monkeypatch, tmp_path):
    tries = Tries()
    run_and_kill_at(monkeypatch, STORE_AWAY, tries)
    monkeypatch.setattr(second_place, "_folder", lambda: tmp_path)
    with pytest.raises(AirflowFailException, match=seedream_emulator.predictions[0]["id"]):
        run(operator(), tries)
    assert seedream_emulator.paid_tasks == 1


def test_what_is_recorded_is_kept_in_no_second_place(seedream_emulator):
    run(operator(), Tries())
    assert files() == []


def test_the_client_is_made_before_the_intent_is_written(seedream_emulator, monkeypatch):
    task, tries, made = operator(), Tries(), []
    write = tries.store.set

    def watched(key, value, **options):
        made.append((value["phase"], "client" in task.hook.__dict__))
        write(key, value, **options)

    monkeypatch.setattr(tries.store, "set", watched)
    run(task, tries)
    assert made[0] == ("intent", True)


class TestFolder:
    @pytest.fixture(autouse=True)
    def machine(self, monkeypatch, tmp_path):
        """In place of the fixture that puts the folder elsewhere."""
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        self.folder = tmp_path / f"airflow-provider-seedream-{os.geteuid()}"

    def test_an_id_is_kept_for_one_record_and_read_by_this_user_alone(self):
        second_place.keep("task", INTENT, "abc123")
        assert self.folder.stat().st_mode & 0o777 == 0o700
        assert second_place.completed("task", INTENT).prediction_id == "abc123"
        later = replace(INTENT, intent_at=INTENT.intent_at + 1)
        assert second_place.completed("task", later) is later
        assert second_place.completed("other", INTENT) is INTENT

    def test_a_folder_that_others_may_write_to_is_not_used(self, caplog):
        caplog.set_level(logging.INFO)
        self.folder.mkdir()
        self.folder.chmod(0o777)
        second_place.keep("task", INTENT, "abc123")
        assert list(self.folder.iterdir()) == []
        assert "abc123 is not kept on this machine" in caplog.text
        (self.folder / second_place._name("task", INTENT)).write_text("forged1")
        assert second_place.completed("task", INTENT) is INTENT

    def test_a_link_in_place_of_the_folder_is_not_followed(self, tmp_path):
        (tmp_path / "theirs").mkdir(mode=0o700)
        self.folder.symlink_to(tmp_path / "theirs")
        second_place.keep("task", INTENT, "abc123")
        assert list((tmp_path / "theirs").iterdir()) == []

    @pytest.mark.parametrize("text", ["", "not an id!", "x" * 1000, "\x00"])
    def test_what_is_no_id_is_not_used(self, text):
        second_place.keep("task", INTENT, "abc123")
        next(self.folder.iterdir()).write_text(text)
        assert second_place.completed("task", INTENT) is INTENT

    def test_files_that_are_of_no_use_any_more_are_removed(self):
        second_place.keep("task", INTENT, "abc123")
        (old,) = self.folder.iterdir()
        long_ago = time.time() - second_place.KEPT_FOR - 60
        os.utime(old, (long_ago, long_ago))
        second_place.keep("other", INTENT, "abc124")
        assert old not in list(self.folder.iterdir())
        assert len(list(self.folder.iterdir())) == 1
