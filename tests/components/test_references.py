"""Drawing from reference pictures: what is uploaded, when, and that no retry pays or uploads again."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import fsspec
import pytest
import requests
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk.io import attach
from PIL import Image

from airflow_provider_seedream.emulator import faults
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.wavespeed import InternalServerError, InvalidInputError, LostSubmissionError
from airflow_provider_seedream.xcom import SUBMISSION
from tests.components.airflow_context import Tries, WorkerKilledError, killed, rendered, run
from tests.components.conftest import HURRIED

pytestmark = pytest.mark.usefixtures("hurried")

EDIT = "bytedance/seedream-v5.0-lite/edit-sequential"
FOX = "https://example.org/fox.png"
SCENES = ["the fox of figure 1 at dawn", "the fox of figure 1 at night"]
SUBMISSION_KEEPS = "airflow_provider_seedream.submission.submission.Submission._keep"


def operator(**arguments):
    return SeedreamSequentialOperator(**{"task_id": "gen", "prompt": SCENES, **arguments})


def sent(emulator):
    return [each.body for each in emulator.journal if each.route == "submit"]


def uploads(emulator):
    return sum(each.route == "upload" for each in emulator.journal)


@pytest.fixture
def picture(tmp_path):
    """A file of a name that is nobody's business."""
    path = tmp_path / 'my "secret" fox.png'
    Image.new("RGB", (64, 64), "red").save(path)
    return path


@pytest.fixture(params=[True, False], ids=["deferred", "waiting"])
def deferrable(request):
    return request.param


def test_links_are_drawn_from_by_the_model_that_edits(seedream_emulator, deferrable):
    result = run(operator(images=[FOX], deferrable=deferrable), Tries())
    assert (result["model"], result["cost_usd"], len(result["images"])) == (EDIT, 0.07, 2)
    assert sent(seedream_emulator)[0]["images"] == [FOX]
    assert uploads(seedream_emulator) == 0
    assert float(seedream_emulator.balance) == pytest.approx(100 - 0.07)


def test_sync_mode_draws_from_references_too(seedream_emulator):
    assert len(run(operator(images=[FOX], enable_sync_mode=True), Tries())["images"]) == 2


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_file_is_uploaded_and_its_name_kept(seedream_emulator, picture, scheme):
    result = run(operator(images=[f"{scheme}{picture}", FOX], size="16:9"), Tries())
    assert len(result["images"]) == 2
    link, other = sent(seedream_emulator)[0]["images"]
    assert other == FOX
    assert requests.get(link, timeout=10).content == picture.read_bytes()
    assert link.endswith(".png")
    assert "secret" not in json.dumps([each.body for each in seedream_emulator.journal])
    assert "secret" not in link


def test_a_file_given_twice_is_uploaded_once(seedream_emulator, picture):
    run(operator(images=[str(picture), str(picture)]), Tries())
    first, second = sent(seedream_emulator)[0]["images"]
    assert first == second
    assert uploads(seedream_emulator) == 1


def test_a_file_of_an_object_store_is_uploaded(seedream_emulator, picture):
    store = fsspec.filesystem("memory")
    attach("memory", fs=store)
    store.pipe_file("/farm/fox.png", picture.read_bytes())
    run(operator(images="memory://farm/fox.png"), Tries())
    (link,) = sent(seedream_emulator)[0]["images"]
    assert requests.get(link, timeout=10).content == picture.read_bytes()


@pytest.mark.parametrize(
    "model", ["bytedance/seedream-v4/sequential", "bytedance/seedream-v4/edit-sequential"]
)
def test_the_connections_model_names_the_version_with_references_and_without(
    seedream_emulator, monkeypatch, model
):
    monkeypatch.setenv("AIRFLOW_CONN_SEEDREAM_DEFAULT", seedream_emulator.airflow_connection(model=model))
    with_references, without = run(operator(images=[FOX]), Tries()), run(operator(), Tries())
    assert with_references["model"] == "bytedance/seedream-v4/edit-sequential"
    assert without["model"] == "bytedance/seedream-v4/sequential"
    assert with_references["cost_usd"] == without["cost_usd"] == 0.054


def test_the_api_may_be_asked_for_the_price_before_anything_is_uploaded(seedream_emulator, picture):
    assert run(operator(images=[str(picture)], price_source="api"), Tries())["cost_usd"] == 0.07
    routes = [each.route for each in seedream_emulator.journal]
    assert routes.index("price") < routes.index("upload") < routes.index("submit")


def test_over_a_ceiling_nothing_is_uploaded(seedream_emulator, picture):
    with pytest.raises(AirflowFailException, match="over the ceiling"):
        run(operator(images=[str(picture)], max_cost=0.01), Tries())
    assert seedream_emulator.journal == []


def test_a_retry_takes_up_what_is_paid_and_uploads_nothing(seedream_emulator, picture, deferrable):
    tries = Tries()
    first = run(operator(images=[str(picture)], deferrable=deferrable), tries)
    again = run(operator(images=[str(picture)], deferrable=deferrable), tries)
    assert again["prediction_id"] == first["prediction_id"]
    assert (seedream_emulator.paid_tasks, uploads(seedream_emulator)) == (1, 1)


def test_a_file_with_another_content_is_another_request(seedream_emulator, picture):
    tries = Tries()
    run(operator(images=[str(picture)]), tries)
    Image.new("RGB", (64, 64), "blue").save(picture)
    with pytest.raises(AirflowFailException, match="reference images"):
        run(operator(images=[str(picture)]), tries)
    assert seedream_emulator.paid_tasks == 1


def test_a_task_that_waits_for_its_turn_uploads_once(seedream_emulator, picture, deferrable, monkeypatch):
    monkeypatch.setattr(
        SeedreamSequentialOperator, "timing", replace(HURRIED, first_pause=0.05, shortest_pause=0.05)
    )
    refusal = faults.Status(429, headers={"Retry-After": "0"})
    seedream_emulator.faults.add("submit", refusal, times=2)
    pauses = [] if deferrable else None
    task = operator(images=[str(picture)], deferrable=deferrable)
    assert len(run(task, Tries(), pauses=pauses)["images"]) == 2
    assert (seedream_emulator.paid_tasks, uploads(seedream_emulator)) == (1, 1)


def test_an_upload_that_fails_for_a_moment_is_repeated(seedream_emulator, picture):
    seedream_emulator.faults.add("upload", faults.Html(502), times=2)
    assert len(run(operator(images=[str(picture)]), Tries())["images"]) == 2
    assert seedream_emulator.paid_tasks == 1


def test_an_upload_that_keeps_failing_leaves_nothing_paid_and_nothing_recorded(seedream_emulator, picture):
    seedream_emulator.faults.add("upload", faults.Status(503), times=None)
    tries = Tries()
    with pytest.raises(InternalServerError):
        run(operator(images=[str(picture)]), tries)
    assert tries.store.get(SUBMISSION)["phase"] == "nothing"
    assert sent(seedream_emulator) == []


def test_a_lost_submission_with_references_is_told_from_another_of_the_same_prompt(
    seedream_emulator, picture
):
    seedream_emulator.configure(result_input=True)
    run(operator(images=[FOX]), Tries())
    seedream_emulator.faults.add("submit", faults.DropAfter())
    result = run(operator(images=[str(picture)], on_lost_submission="adopt"), Tries())
    assert result["prediction_id"] == seedream_emulator.predictions[1]["id"]
    assert seedream_emulator.paid_tasks == 2


def test_a_worker_killed_after_paying_finds_its_prediction_and_uploads_nothing(
    seedream_emulator, picture, monkeypatch
):
    tries = Tries()
    with monkeypatch.context() as patch:
        patch.setattr(SUBMISSION_KEEPS, killed)
        with pytest.raises(WorkerKilledError):
            run(operator(images=[str(picture)]), tries)
    assert tries.store.get(SUBMISSION)["phase"] == "intent"
    result = run(operator(images=[str(picture)], on_lost_submission="adopt"), tries)
    assert result["prediction_id"] == seedream_emulator.predictions[0]["id"]
    assert (seedream_emulator.paid_tasks, uploads(seedream_emulator)) == (1, 1)


def test_a_reference_that_the_vendor_cannot_fetch_fails_for_good(seedream_emulator):
    dead = f"{seedream_emulator.cdn_url}/uploads/{'0' * 32}/fox.png"
    with pytest.raises(AirflowFailException, match="an input image could not be fetched"):
        run(operator(images=[dead]), Tries())


REFUSED = [
    (
        {"images": [FOX], "model": "bytedance/seedream-v4.5/sequential"},
        "use bytedance/seedream-v4.5/edit-seq",
    ),
    ({"model": EDIT}, "Give images=.*or use bytedance/seedream-v5.0-lite/sequential"),
    ({"images": []}, "images=.*it is empty"),
    ({"images": ""}, "images=''.*must be a link"),
    ({"images": [FOX] * 11}, "takes 1-10 reference images, and these are 11"),
    ({"images": [FOX] * 10, "prompt": "6 images of a fox"}, "more than 15 together"),
    ({"images": ["https://me:pw@example.org/x.png"]}, r"\*\*\*@example.org.*carries a user or password"),
    ({"images": ["data:image/png;base64,AAAA"]}, "images='data:...'"),
    ({"images": ["/nowhere/fox.png"]}, "images='/nowhere/fox.png'.*cannot be read here .FileNotFoundError"),
    ({"images": ["foo://farm/fox.png"]}, "no object store answers"),
    (
        {"images": [FOX], "model": "bytedance/seedream-v4/edit-sequential", "output_format": "png"},
        "no such input",
    ),
]


@pytest.mark.parametrize(("arguments", "told"), REFUSED, ids=lambda each: str(each)[:60])
def test_bad_references_are_refused_for_good_and_nothing_is_sent(seedream_emulator, arguments, told):
    with pytest.raises(AirflowFailException, match=told):
        run(rendered(operator(), **arguments), Tries())
    assert seedream_emulator.journal == []


@pytest.mark.parametrize(
    "images",
    [
        "['https://example.org/a.png?X-Sig=SECRET']",
        '["https://example.org/a.png?X-Sig=SECRET"',
        {"u": "https://example.org/a.png?X-Sig=SECRET"},
        [["https://example.org/a.png?X-Sig=SECRET"]],
        [{"url": "https://me:SECRET@example.org/a.png"}],
        [b"https://example.org/a.png?X-Sig=SECRET"],
        ["//example.org/a.png?sig=SECRET"],
        ["https:/example.org/a.png?sig=SECRET"],
        ["https:/me:SECRET@example.org/a.png"],
        ["https://example.org/a b.png#token=SECRET "],
        "https://example.org/a.png?sig=SECRET, https://example.org/b.png",
        ["az://farm/a.png?sig=SECRET"],
        ["ftp://user:SECRET@example.org/a.png"],
        ["ftp://user:SEC?RET#SECRET@example.org/a.png"],
    ],
    ids=str,
)
def test_no_refusal_of_references_repeats_a_signature_or_a_password(seedream_emulator, images):
    with pytest.raises(AirflowFailException, match=r"^InvalidInputError: images=") as refused:
        run(rendered(operator(), images=images), Tries())
    assert "SEC" not in str(refused.value)
    assert seedream_emulator.journal == []


@pytest.mark.parametrize("content", [b"", b"root:x:0:0:root", b"<html>sorry</html>"])
def test_a_file_that_is_no_picture_never_leaves(seedream_emulator, tmp_path, content):
    (tmp_path / "fox.png").write_bytes(content)
    with pytest.raises(AirflowFailException, match="it is no image"):
        run(operator(images=[str(tmp_path / "fox.png")]), Tries())
    assert seedream_emulator.journal == []


def test_a_pipe_and_a_device_are_refused_and_not_waited_for(seedream_emulator, tmp_path):
    os.mkfifo(tmp_path / "fox.png")
    # The device first: reading it all the same ends at once, and fails this test.
    for place in ("/dev/null", tmp_path / "fox.png"):
        with pytest.raises(AirflowFailException, match="it is no regular file"):
            run(operator(images=[str(place)]), Tries())
    assert seedream_emulator.journal == []


def test_a_folder_and_a_file_that_is_too_big_are_refused(seedream_emulator, tmp_path):
    with pytest.raises(AirflowFailException, match="cannot be read here"):
        run(operator(images=[str(tmp_path)]), Tries())
    with (tmp_path / "big.png").open("wb") as file:
        file.truncate(200_000_001)
    with pytest.raises(AirflowFailException, match="200,000,001 bytes, and at most 200,000,000"):
        run(operator(images=[str(tmp_path / "big.png")]), Tries())
    assert seedream_emulator.journal == []


def test_references_that_differ_are_told_apart_after_a_pause_as_well(seedream_emulator, picture, tmp_path):
    seedream_emulator.configure(result_input=True)
    run(operator(images=[str(picture)]), Tries())
    other = tmp_path / "owl.png"
    Image.new("RGB", (64, 64), "blue").save(other)
    seedream_emulator.faults.add("submit", faults.Status(503))
    with pytest.raises(LostSubmissionError, match="none seen"):
        run(operator(images=[str(other)], on_lost_submission="adopt"), Tries())


def test_what_is_paid_is_not_given_up_for_a_reference_that_is_gone(seedream_emulator, picture, monkeypatch):
    tries = Tries()
    with monkeypatch.context() as patch:
        patch.setattr(SeedreamSequentialOperator, "defer", killed)
        with pytest.raises(WorkerKilledError):
            run(operator(images=[str(picture)]), tries)
    content = picture.read_bytes()
    picture.unlink()
    with pytest.raises(InvalidInputError, match="cannot be read here") as gone:
        run(operator(images=[str(picture)]), tries)
    assert gone.value.transient
    picture.write_bytes(content)
    assert len(run(operator(images=[str(picture)]), tries)["images"]) == 2
    assert seedream_emulator.paid_tasks == 1


def routes_of_uploads(emulator):
    return [
        (each.method, each.path.partition("?")[0].split("/")[-1], each.status, each.authorization)
        for each in emulator.journal
        if "upload" in each.path and each.method != "GET"
    ]


def test_an_upload_goes_where_a_ticket_says_and_without_the_key(seedream_emulator, picture):
    run(operator(images=[str(picture)]), Tries())
    (asked, _, _, with_key), (sent_by, _, _, key_sent) = routes_of_uploads(seedream_emulator)
    assert (asked, with_key, sent_by, key_sent) == ("POST", True, "PUT", False)


def test_a_wrong_key_is_refused_before_an_image_is_sent(seedream_emulator, picture, monkeypatch):
    monkeypatch.setenv(
        "AIRFLOW_CONN_SEEDREAM_DEFAULT",
        json.dumps({"conn_type": "seedream", "host": seedream_emulator.url, "password": "wrong"}),
    )
    with pytest.raises(AirflowFailException, match="401"):
        run(operator(images=[str(picture)]), Tries())
    assert [status for *_, status, _ in routes_of_uploads(seedream_emulator)] == [401]
    assert seedream_emulator.paid_tasks == 0


@pytest.mark.parametrize(
    ("route", "fault"),
    [
        ("upload", faults.Status(404)),
        ("upload", faults.Status(405)),
        ("upload", faults.EnvelopeCode(404)),
        ("reference", faults.Status(403)),
        ("reference", faults.DropAfter()),
    ],
    ids=repr,
)
def test_where_the_way_by_ticket_is_closed_the_image_is_sent_in_a_form(
    seedream_emulator, picture, route, fault
):
    seedream_emulator.faults.add(route, fault, times=1)
    assert len(run(operator(images=[str(picture)]), Tries())["images"]) == 2
    assert routes_of_uploads(seedream_emulator)[-1][:3] == ("POST", "binary", 200)
    (link,) = sent(seedream_emulator)[0]["images"]
    assert requests.get(link, timeout=10).content == picture.read_bytes()
    assert seedream_emulator.paid_tasks == 1
