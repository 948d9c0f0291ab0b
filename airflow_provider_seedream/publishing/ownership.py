"""Whose folder it is: nobody's pictures are replaced unless their publisher, or the user, said so."""

from __future__ import annotations

import datetime as dt
import logging
import time
from typing import TYPE_CHECKING, Literal

from airflow_provider_seedream.publishing.errors import FolderTakenError
from airflow_provider_seedream.publishing.manifest import Manifest, Publisher
from airflow_provider_seedream.publishing.progress import Progress, read_manifest, set_key
from airflow_provider_seedream.publishing.storage import Folder

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

log = logging.getLogger(__name__)

OnExisting = Literal["replace_own", "replace", "fail"]


def refuse_taken(
    folder: Folder,
    mine: Progress,
    found: Manifest | None,
    unfinished: Progress | None,
    on_existing: OnExisting,
) -> None:
    """Refuse a folder that holds another set which may not be replaced, or not yet.

    :param mine: the set that is to be published.
    :param found: the manifest in the folder.
    :param unfinished: the record of a publish in the folder that has not come to its end.
    :raises FolderTakenError: transient where another publish may still be at work.
    """
    others: list[tuple[str, Publisher | None, float]] = []
    if found and set_key(found.image_set) != mine.key:
        others.append((found.image_set.prediction_id, found.published_by, 0.0))
    if unfinished and unfinished.key != mine.key:
        others.append((unfinished.prediction_id, unfinished.published_by, unfinished.busy_until))
    for prediction_id, publisher, busy_until in others:
        _refuse(str(folder), prediction_id, publisher, busy_until, mine.published_by, on_existing)
        log.warning("Prediction %s in %s will be replaced by %s.", prediction_id, folder, mine.prediction_id)


def refuse_others(target: ObjectStoragePath, me: Publisher | None) -> None:
    """Refuse a folder that holds what another task instance published, before anything is paid for it.

    :param target: the folder.
    :raises FolderTakenError: naming what is there.
    """
    folder = Folder(target)
    manifest, unfinished = read_manifest(folder), Progress.load(folder)
    there = [(manifest.image_set.prediction_id, manifest.published_by)] if manifest else []
    there += [(unfinished.prediction_id, unfinished.published_by)] if unfinished else []
    for prediction_id, owner in there:
        if owner is None or owner != me:
            how = _how(owner, me)
            way_out = 'Nothing is paid. Put "{{ run_id }}", and "{{ ti.map_index }}" where it is mapped, into the path.'
            raise FolderTakenError(str(folder), prediction_id, how, way_out)


def _refuse(
    folder: str,
    prediction_id: str,
    publisher: Publisher | None,
    busy_until: float,
    me: Publisher | None,
    on_existing: OnExisting,
) -> None:
    if _are_siblings(publisher, me):
        way_out = 'Give each its own folder: put "{{ ti.map_index }}" into path.'
        raise FolderTakenError(folder, prediction_id, _how(publisher, me), way_out)
    own = publisher is not None and publisher == me
    how = _how(publisher, me)
    if on_existing == "fail" or (on_existing == "replace_own" and not own):
        way_out = 'Put "{{ run_id }}" into the path, or set on_existing="replace" to delete what is there.'
        raise FolderTakenError(folder, prediction_id, how, way_out)
    # An earlier try of this very task instance is over: Airflow ends one before it starts the next.
    if busy_until > time.time() and not own:
        until = dt.datetime.fromtimestamp(busy_until, dt.UTC).strftime("%H:%M:%SZ")
        way_out = (
            f"It may still be at work; unless it says more, its folder is free after {until}: try again then."
        )
        raise FolderTakenError(folder, prediction_id, f"{how} and not finished", way_out, transient=True)


def _how(publisher: Publisher | None, me: Publisher | None) -> str:
    if _are_siblings(publisher, me):
        return "by another mapped instance of this task in this run"
    return f"by {publisher.dag_id}.{publisher.task_id} ({publisher.run_id})" if publisher else "earlier"


def _are_siblings(one: Publisher | None, other: Publisher | None) -> bool:
    if one is None or other is None or one.map_index == other.map_index:
        return False
    return (one.dag_id, one.run_id, one.task_id) == (other.dag_id, other.run_id, other.task_id)
