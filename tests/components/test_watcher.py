"""The watcher that all waiting predictions of a triggerer share, against the emulator."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airflow_provider_seedream.emulator import Emulator, faults
from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.triggers.seedream import SeedreamPredictionTrigger
from airflow_provider_seedream.waiting import connection as connection_cache
from airflow_provider_seedream.waiting import watcher
from airflow_provider_seedream.waiting.poll import Outcome
from airflow_provider_seedream.waiting.schedule import ENOUGH, PollSchedule
from airflow_provider_seedream.waiting.watcher import PredictionWatcher
from airflow_provider_seedream.wavespeed import ImageSetRequest

pytestmark = pytest.mark.usefixtures("hurried")

CONNECTION = "AIRFLOW_CONN_SEEDREAM_DEFAULT"
REQUEST = ImageSetRequest.build(prompt=["a fox at dawn", "a fox at noon"])
JOB_CLASS = "class"


def submitted(count=1, conn_id="seedream_default"):
    hook = SeedreamHook(conn_id)
    return [hook.submit(REQUEST).id for _ in range(count)]


def watcher_of(conn_id="seedream_default"):
    return PredictionWatcher.of(conn_id, SeedreamHook(conn_id).read_endpoint)


async def waiting(prediction_id, *, conn_id="seedream_default", seconds=30.0, **more):
    now = time.time()
    return await watcher_of(conn_id).wait(
        prediction_id, **{"deadline": now + seconds, "submitted_at": now, "job_class": JOB_CLASS, **more}
    )


async def all_of(ids, **more):
    return await asyncio.gather(*(waiting(each, **more) for each in ids))


def open_sockets():
    gc.collect()
    links = (each.readlink() for each in Path("/proc/self/fd").iterdir() if each.is_symlink())
    return sum("socket:" in str(link) for link in links)


@pytest.fixture
def lookups(monkeypatch):
    """The moments at which the connection was read."""
    made, real = [], SeedreamHook.asettings

    async def counted(hook):
        made.append(time.monotonic())
        return await real(hook)

    monkeypatch.setattr(SeedreamHook, "asettings", counted)
    return made


def test_many_predictions_share_one_lookup_and_a_few_connections(seedream_emulator, lookups):
    results = asyncio.run(all_of(submitted(60)))
    assert {each.outcome for each in results} == {Outcome.COMPLETED}
    assert len(lookups) == 1
    submitting = 60  # a paying request takes a connection of its own
    assert seedream_emulator.connections - submitting <= 8


def test_polls_that_are_due_together_begin_one_in_a_turn_of_the_loop(seedream_emulator, monkeypatch):
    turn, begun, real = 0, [], PredictionWatcher._begin

    async def count_turns():
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    def begin(watching, waiter):
        begun.append(turn)
        real(watching, waiter)

    async def watched():
        counting = asyncio.create_task(count_turns())
        await all_of(ids)
        counting.cancel()

    monkeypatch.setattr(PredictionWatcher, "_begin", begin)
    ids = submitted(30)
    asyncio.run(watched())
    assert len(begun) >= 30
    assert len(begun) == len(set(begun))


def test_each_prediction_gets_its_own_end(seedream_emulator):
    good, bad, unknown = *submitted(2), "never-heard-of"
    seedream_emulator.faults.add("result", faults.Status(404), prediction_id=bad, times=None)

    async def all_three():
        foreign = (waiting(each, submitted_at=None) for each in (bad, unknown))
        return await asyncio.gather(waiting(good), *foreign)

    results = asyncio.run(all_three())
    assert [each.outcome for each in results] == [Outcome.COMPLETED, Outcome.REFUSED, Outcome.REFUSED]
    assert [each.prediction_id for each in results] == [good, bad, unknown]


def test_nothing_is_left_when_the_last_one_leaves(seedream_emulator):
    async def left_over():
        before = open_sockets()
        await all_of(ids)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        ends = time.monotonic() + 5.0
        while open_sockets() > before and time.monotonic() < ends:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # the emulator's ends of the connections are in this process, too
        return tasks, open_sockets() - before, watcher_of().waiting

    ids = submitted(20)
    tasks, sockets, still_waiting = asyncio.run(left_over())
    assert tasks == set()
    assert sockets <= 0
    assert still_waiting == 0


def test_a_trigger_cancelled_while_its_poll_is_under_way_leaves_the_others_alone(seedream_emulator):
    slow, *others = submitted(4)
    seedream_emulator.faults.add("result", faults.Slow(2.0), prediction_id=slow, times=None)

    async def cancelled():
        task = asyncio.create_task(waiting(slow))
        results = await all_of(others)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return results, time.monotonic() - began, asyncio.all_tasks() - {asyncio.current_task()}

    results, took, tasks = asyncio.run(cancelled())
    assert {each.outcome for each in results} == {Outcome.COMPLETED}
    assert took < 1.0
    assert tasks == set()


def test_a_prediction_handed_over_is_polled_at_by_the_next_triggerer(seedream_emulator):
    seedream_emulator.clock.hold()
    (prediction,) = submitted()

    async def shut_down():
        await asyncio.wait([asyncio.create_task(waiting(prediction))], timeout=0.5)

    asyncio.run(shut_down())  # ends the loop while it waits, as a triggerer that stops does
    polls = seedream_emulator.polls(prediction)
    assert polls > 0
    seedream_emulator.clock.release()
    assert asyncio.run(waiting(prediction)).outcome is Outcome.COMPLETED
    assert seedream_emulator.paid_tasks == 1


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_ends_without_a_word_is_forgotten(seedream_emulator):
    (prediction,) = submitted()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    task = loop.create_task(waiting(prediction, poll_interval=60))
    loop.run_until_complete(asyncio.sleep(0.2))
    loop.close()
    assert asyncio.run(waiting(prediction)).outcome is Outcome.COMPLETED
    assert loop not in PredictionWatcher._of_loop
    del task, loop
    gc.collect()  # here, where what such a loop leaves open may be warned of


def test_two_connections_at_once_each_lead_to_their_own_account(seedream_emulator, monkeypatch):
    with Emulator(api_key="other-key", median_seconds=0.2) as other:
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", other.airflow_connection())
        mine, theirs = submitted(5), submitted(5, "other")

        async def both():
            return await asyncio.gather(all_of(mine), all_of(theirs, conn_id="other"))

        results = [each for group in asyncio.run(both()) for each in group]
        assert {each.outcome for each in results} == {Outcome.COMPLETED}
        assert {each.prediction_id for each in other.journal} - {None} == set(theirs)


def test_a_retry_after_told_to_one_makes_everyone_wait(seedream_emulator):
    seedream_emulator.clock.hold()  # first: on a slow machine they would be over before they are waited for
    told, *others = submitted(6)
    seedream_emulator.faults.add(
        "result", faults.Status(429, headers={"Retry-After": "2"}), prediction_id=told, after=1
    )

    async def watch():
        tasks = [asyncio.create_task(waiting(each)) for each in (told, *others)]
        while not any(each.status == 429 for each in seedream_emulator.journal):
            assert not any(each.done() for each in tasks)
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)  # what was under way when the answer came
        before = seedream_emulator.polls()
        await asyncio.sleep(1.3)
        silent = seedream_emulator.polls() == before
        seedream_emulator.clock.release()
        return silent, await asyncio.gather(*tasks)

    silent, results = asyncio.run(watch())
    assert silent
    assert {each.outcome for each in results} == {Outcome.COMPLETED}


def test_an_outage_is_asked_about_less_and_less_by_everyone_together(seedream_emulator):
    ids = submitted(40)
    seedream_emulator.faults.add("result", faults.Status(503), times=None)

    async def outage():
        tasks = [asyncio.create_task(waiting(each)) for each in ids]
        await asyncio.sleep(3.0)
        polls = seedream_emulator.polls()
        seedream_emulator.faults.clear()
        return polls, await asyncio.gather(*tasks)

    polls, results = asyncio.run(outage())
    assert polls < 40  # one by one, every 0.05 s, they would have made 2,400
    assert {each.outcome for each in results} == {Outcome.COMPLETED}


@pytest.mark.parametrize(
    "fault",
    [faults.Status(429), faults.Html(502), faults.DropBefore(), faults.Truncated(), faults.Garbage()],
    ids=repr,
)
def test_trouble_with_some_polls_neither_loses_nor_fails_a_prediction(seedream_emulator, fault):
    seedream_emulator.faults.add("result", fault, times=None, probability=0.2)
    results = asyncio.run(all_of(submitted(25)))
    assert {each.outcome for each in results} == {Outcome.COMPLETED}


def test_the_deadlines_last_poll_is_made_although_everyone_is_told_to_wait(seedream_emulator):
    told, other = submitted(2)
    seedream_emulator.faults.add(
        "result", faults.Status(429, headers={"Retry-After": "30"}), prediction_id=told, times=1
    )

    async def watch():
        return await asyncio.gather(waiting(told, seconds=2.0), waiting(other, seconds=2.0))

    began = time.monotonic()
    results = asyncio.run(watch())
    assert {each.outcome for each in results} == {Outcome.COMPLETED}
    assert time.monotonic() - began < 4.0


def test_the_deadline_ends_every_wait_although_answers_hang(seedream_emulator, monkeypatch):
    monkeypatch.setattr(watcher, "LAST_POLL", 0.4)
    ids = submitted(12)
    seedream_emulator.faults.add("result", faults.Slow(6.0), times=None)

    async def hanging():
        results = await all_of(ids, seconds=1.0)
        return results, time.monotonic() - began

    began = time.monotonic()
    results, seconds = asyncio.run(hanging())
    assert {each.outcome for each in results} == {Outcome.DEADLINE}
    assert seconds < 5.0
    assert [each.prediction_id for each in results] == ids


def test_a_process_that_was_stopped_over_the_deadline_still_has_its_last_poll(seedream_emulator, monkeypatch):
    monkeypatch.setattr(watcher, "LAST_POLL", 0.4)
    seedream_emulator.clock.hold()
    (prediction,) = submitted()

    async def stopped():
        task = asyncio.create_task(waiting(prediction, seconds=1.0))
        await asyncio.sleep(0.5)
        seedream_emulator.clock.release()
        time.sleep(2.0)  # noqa: ASYNC251
        return await task

    assert asyncio.run(stopped()).outcome is Outcome.COMPLETED


def test_a_key_that_was_replaced_is_read_again_when_it_is_refused(seedream_emulator, monkeypatch, lookups):
    ids = submitted(5)
    right = seedream_emulator.airflow_connection()
    monkeypatch.setenv(
        CONNECTION, json.dumps({"conn_type": "seedream", "host": seedream_emulator.url, "password": "old"})
    )

    async def edited():
        watcher_of()._connection.warm_up()
        while not lookups:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        monkeypatch.setenv(CONNECTION, right)
        return await all_of(ids)

    assert {each.outcome for each in asyncio.run(edited())} == {Outcome.COMPLETED}
    assert len(lookups) == 2


def rotate(emulator, monkeypatch):
    connection = {"conn_type": "seedream", "host": emulator.url, "password": "new-key"}
    monkeypatch.setenv(CONNECTION, json.dumps(connection))
    monkeypatch.setattr(emulator._state, "api_key", "new-key")


def failing_lookups(times):
    """A lookup of the connection that fails ``times`` times, and the failures it has left."""
    real, left = SeedreamHook.asettings, [OSError("the database is away")] * times

    async def failing(hook):
        if left:
            raise left.pop()
        return await real(hook)

    return failing, left


def test_a_key_replaced_soon_after_another_refusal_is_read_again(seedream_emulator, monkeypatch):
    monkeypatch.setattr(connection_cache, "LOOKUP_AGAIN", 0.1)
    seedream_emulator.clock.hold()
    (good,) = submitted()

    async def rotated():
        task = asyncio.create_task(waiting(good))
        unknown = await waiting("never-heard-of", submitted_at=None)
        await asyncio.sleep(0.2)
        rotate(seedream_emulator, monkeypatch)
        await asyncio.sleep(0.2)
        seedream_emulator.clock.release()
        return unknown, await task

    unknown, result = asyncio.run(rotated())
    assert unknown.outcome is Outcome.REFUSED
    assert result.outcome is Outcome.COMPLETED


def test_a_refused_key_is_no_end_while_the_connection_cannot_be_read(seedream_emulator, monkeypatch):
    monkeypatch.setattr(connection_cache, "LOOKUP_AGAIN", 0.1)
    failing, left = failing_lookups(3)
    seedream_emulator.clock.hold()
    (prediction,) = submitted()

    async def rotated():
        task = asyncio.create_task(waiting(prediction))
        while not seedream_emulator.polls():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        monkeypatch.setattr(SeedreamHook, "asettings", failing)
        rotate(seedream_emulator, monkeypatch)
        seedream_emulator.clock.release()
        return await task

    assert asyncio.run(rotated()).outcome is Outcome.COMPLETED
    assert not left


def test_a_key_that_stays_wrong_ends_the_wait_with_two_lookups(seedream_emulator, monkeypatch, lookups):
    ids = submitted(5)
    monkeypatch.setenv(
        CONNECTION, json.dumps({"conn_type": "seedream", "host": seedream_emulator.url, "password": "wrong"})
    )
    results = asyncio.run(all_of(ids, submitted_at=None))
    assert {each.outcome for each in results} == {Outcome.REFUSED}
    assert len(lookups) <= 2


def test_a_dead_key_that_a_person_replaces_later_ends_no_wait_for_what_is_paid(
    seedream_emulator, monkeypatch, caplog
):
    monkeypatch.setattr(connection_cache, "LOOKUP_AGAIN", 0.1)
    monkeypatch.setattr("airflow_provider_seedream.waiting.poll.REFUSED_GAPS", (0.1, 0.3))
    ids, right = submitted(40), seedream_emulator.airflow_connection()
    dead = {"conn_type": "seedream", "host": seedream_emulator.url, "password": "dead"}
    monkeypatch.setenv(CONNECTION, json.dumps(dead))

    async def mended():
        waits = asyncio.gather(*(waiting(each) for each in ids))
        await asyncio.sleep(2.0)
        polls = seedream_emulator.polls()
        monkeypatch.setenv(CONNECTION, right)
        return polls, await waits

    polls, results = asyncio.run(mended())
    assert {each.outcome for each in results} == {Outcome.COMPLETED}
    assert polls <= 40 * 10
    assert caplog.text.count("; retrying in ") == 40


def test_a_connection_that_is_gone_for_a_while_ends_no_wait_for_what_is_paid(seedream_emulator, monkeypatch):
    monkeypatch.setattr(connection_cache, "LOOKUP_AGAIN", 0.05)
    (paid,) = submitted()
    right = seedream_emulator.airflow_connection()
    monkeypatch.delenv(CONNECTION)

    async def back():
        wait = asyncio.create_task(waiting(paid))
        await asyncio.sleep(1.0)
        monkeypatch.setenv(CONNECTION, right)
        return await wait

    assert asyncio.run(back()).outcome is Outcome.COMPLETED


def test_an_edited_endpoint_takes_effect_and_breaks_no_poll_under_way(seedream_emulator, monkeypatch):
    monkeypatch.setattr(connection_cache, "CONNECTION_HOLDS", 0.3)
    (slow,) = submitted()
    seedream_emulator.faults.add("result", faults.Slow(2.0), times=None)
    with Emulator(median_seconds=0.2) as moved:

        async def edited():
            task = asyncio.create_task(waiting(slow))
            await asyncio.sleep(0.5)
            monkeypatch.setenv(CONNECTION, moved.airflow_connection())
            (new,) = await asyncio.to_thread(submitted)
            result = await waiting(new)
            under_way = not task.done()
            return result, under_way, await task

        result, under_way, first = asyncio.run(edited())
        assert result.outcome is first.outcome is Outcome.COMPLETED
        assert under_way
        assert moved.polls(slow) == 0
        assert seedream_emulator.polls(slow) == 1


def test_a_lookup_that_fails_in_passing_fails_no_wait(seedream_emulator, monkeypatch):
    monkeypatch.setattr(connection_cache, "LOOKUP_AGAIN", 0.05)
    failing, left = failing_lookups(3)
    ids = submitted(3)
    monkeypatch.setattr(SeedreamHook, "asettings", failing)
    assert {each.outcome for each in asyncio.run(all_of(ids))} == {Outcome.COMPLETED}
    assert not left


def test_a_lookup_that_fails_until_the_deadline_ends_as_the_deadline(seedream_emulator, monkeypatch):
    async def failing(hook):
        raise OSError("postgresql://user:secret@db")

    (prediction,) = submitted()
    monkeypatch.setattr(SeedreamHook, "asettings", failing)
    result = asyncio.run(waiting(prediction, seconds=1.0))
    assert result.outcome is Outcome.DEADLINE
    assert "Connection seedream_default could not be read (OSError)" in str(result.error)
    assert "secret" not in json.dumps(result.event())


def test_a_connection_that_is_not_there_is_told_as_permanent(seedream_emulator, monkeypatch):
    monkeypatch.setattr(connection_cache, "LOOKUP_AGAIN", 0.05)
    trigger = SeedreamPredictionTrigger("nowhere", "abc", time.time() + 30)

    async def first():
        return [event.payload async for event in trigger.run()]

    (event,) = asyncio.run(first())
    assert event["outcome"] == "error"
    assert event["error"]["retryable"] is False
    assert "there is no such connection" in event["error"]["message"]


def test_a_connection_that_vanishes_while_predictions_wait_changes_nothing(seedream_emulator, monkeypatch):
    monkeypatch.setattr(connection_cache, "CONNECTION_HOLDS", 0.05)
    seedream_emulator.clock.hold()
    (prediction,) = submitted()

    async def vanished():
        task = asyncio.create_task(waiting(prediction))
        while not seedream_emulator.polls():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        monkeypatch.delenv(CONNECTION)
        await asyncio.sleep(0.3)
        seedream_emulator.clock.release()
        return await task

    assert asyncio.run(vanished()).outcome is Outcome.COMPLETED


def test_a_watcher_remembers_how_long_jobs_took_after_everyone_left(seedream_emulator):
    async def learned():
        watcher = watcher_of()
        await all_of(submitted(ENOUGH))
        return watcher, watcher_of(), watcher.durations.schedule(JOB_CLASS)

    before, after, schedule = asyncio.run(learned())
    assert before is after
    assert schedule.early > 0
    assert schedule.early != PollSchedule.every(None).early


def test_arguments_stored_before_an_upgrade_still_make_a_trigger():
    stored = {"seedream_conn_id": "c", "prediction_id": "p", "deadline": 1.0, "poll_interval": None}
    _, arguments = SeedreamPredictionTrigger(**stored).serialize()
    assert arguments == {**stored, "submitted_at": None, "kind": None}


OFF_THE_LOOP = """
import asyncio, sys, threading, time
imported_by = {}
class Spy:
    def find_spec(self, name, path=None, target=None):
        if name in ("aiohttp", "requests"):
            imported_by.setdefault(name, threading.current_thread() is threading.main_thread())
sys.meta_path.insert(0, Spy())
from airflow_provider_seedream.triggers.seedream import SeedreamPredictionTrigger
async def main():
    trigger = SeedreamPredictionTrigger("seedream_default", "abc", time.time() + 1.0)
    return [event.payload["outcome"] async for event in trigger.run()]
print(asyncio.run(main()), imported_by)
"""


def test_the_http_clients_are_imported_off_the_event_loop(seedream_emulator, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")  # what requests is asked about
    done = subprocess.run([sys.executable, "-c", OFF_THE_LOOP], capture_output=True, text=True, check=True)
    assert "['refused'] {'aiohttp': False, 'requests': False}" in done.stdout
