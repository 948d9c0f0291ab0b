"""Whose folder it is: nobody's pictures are replaced unless their publisher, or the user, said so."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from airflow_provider_seedream.publishing.errors import FolderTakenError, ForeignFileError
from airflow_provider_seedream.publishing.manifest import MANIFEST_NAME, Manifest, Publisher
from airflow_provider_seedream.publishing.names import (
    FileNames,
    is_file_name,
    possible_files,
    scenes_by_image,
)
from airflow_provider_seedream.publishing.progress import (
    PROGRESS_NAME,
    Progress,
    merged,
    read_manifest,
    set_key,
)
from airflow_provider_seedream.publishing.storage import Folder

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

log = logging.getLogger(__name__)

OnExisting = Literal["replace_own", "replace", "fail"]

_WAY_OUT_BEFORE_PAYING = (
    'Nothing is paid. Put "{{ run_id }}", and "{{ ti.map_index }}" where it is mapped, into the path.'
)


@dataclass(frozen=True, slots=True)
class Contents:
    """What was in a folder when a publish looked at it.

    :param manifest: the manifest, where there is one of this package.
    :param record: the record of a publish that has not come to its end.
    :param names: everything that is there, and whether it is a folder.
    :param ours: files that this package wrote, or was about to write, each with the SHA-256 of everything it may have
        written there.
    :param noted: the ones that an unfinished publish was about to write: a file there may be somebody else's.
    """

    manifest: Manifest | None
    record: Progress | None
    names: dict[str, bool]
    ours: Mapping[str, frozenset[str]]
    noted: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, folder: Folder) -> Contents:
        """Look at a folder: one listing, its manifest and its record."""
        names = folder.names()
        manifest, manifest_is_ours = read_manifest(folder)
        record, record_is_ours = Progress.look(folder)
        ours: dict[str, frozenset[str]] = {}
        if manifest is not None:
            # A manifest may have been written by hand: it speaks for files only that this package could have written.
            ours = {name: frozenset({sha}) for name, sha in manifest.files.items() if is_file_name(name)}
        noted: dict[str, frozenset[str]] = {}
        if record is not None:
            placed = {*ours, *record.replaces}
            noted = {name: digests for name, digests in record.noted().items() if name not in placed}
            ours = merged(ours, record.files())
        # Where nothing is known of the set, a manifest that broke off is not enough to write over it.
        if manifest is not None or (record is not None and manifest_is_ours):
            ours[MANIFEST_NAME] = frozenset()
        if record_is_ours:
            ours[PROGRESS_NAME] = frozenset()
        return cls(manifest, record, names, ours, noted)

    def refuse_strangers(
        self,
        folder: Folder,
        wanted: Iterable[str],
        on_existing: OnExisting,
        *,
        paid: bool = True,
        intact: Container[str] = (),
    ) -> None:
        """Refuse to write over a file that is not this package's.

        :param wanted: the names that would be written, manifest and record aside.
        :param on_existing: ``"replace"`` writes over files, and never over folders.
        :param paid: whether the set is paid already, for the way out.
        :param intact: names whose files were found to be this set's.
        :raises ForeignFileError: naming what is there.
        """
        found = {
            there: self.names[there]
            for name in dict.fromkeys((MANIFEST_NAME, PROGRESS_NAME, *wanted))
            if (there := folder.names_like(name, self.names)) is not None
            and not self._is_ours(folder, name, intact)
        }
        in_the_way = [name for name, is_folder in found.items() if is_folder or on_existing != "replace"]
        if in_the_way:
            way_out = (
                "Give the set a folder of its own, or move what is there." if paid else _WAY_OUT_BEFORE_PAYING
            )
            if paid and not any(found.values()):
                way_out += ' To overwrite it, set on_existing="replace".'
            raise ForeignFileError(str(folder), in_the_way, way_out)
        if found:
            log.warning("%s: %s may be overwritten.", folder, ", ".join(map(ascii, found)))

    def _is_ours(self, folder: Folder, name: str, intact: Container[str]) -> bool:
        if name in self.noted and name not in intact:
            return folder.digest(name) in {None, *self.noted[name]}
        return name in self.ours


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


def refuse_others(
    target: ObjectStoragePath, me: Publisher | None, *, prompt: str | None = None, images: int = 0
) -> None:
    """Refuse a folder that holds what another task instance published, or files of others, before anything is paid.

    :param target: the folder.
    :param prompt: what is to be asked for, and how many images: their files may have these names.
    :raises FolderTakenError: naming what is there.
    """
    folder = Folder(target)
    contents = Contents.of(folder)
    there = [each for each in (contents.manifest, contents.record) if each is not None]
    for each in there:
        if each.published_by is None or each.published_by != me:
            raise FolderTakenError(
                str(folder),
                each.image_set.prediction_id if isinstance(each, Manifest) else each.prediction_id,
                _how(each.published_by, me),
                _WAY_OUT_BEFORE_PAYING,
                transient=_is_in_doubt(each.published_by, me),
            )
    # Fewer images may come than were asked for, and their scenes are not known then.
    scenes = [
        *enumerate(scenes_by_image(prompt, images, images), 1),
        *((n, None) for n in range(1, images + 1)),
    ]
    stems = {FileNames().stem(number, scene, "") for number, scene in scenes}
    wanted = [name for stem in sorted(stems) for name in possible_files(stem, None)]
    contents.refuse_strangers(folder, wanted, "replace_own", paid=False)


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
        in_doubt = on_existing == "replace_own" and _is_in_doubt(publisher, me)
        raise FolderTakenError(folder, prediction_id, how, way_out, transient=in_doubt)
    # An earlier try of this very task instance is over: Airflow ends one before it starts the next.
    if busy_until > time.time() and not own:
        until = dt.datetime.fromtimestamp(busy_until, dt.UTC).strftime("%H:%M:%SZ")
        way_out = (
            f"It may still be at work; unless it says more, its folder is free after {until}: try again then."
        )
        raise FolderTakenError(folder, prediction_id, f"{how} and not finished", way_out, transient=True)


def _how(publisher: Publisher | None, me: Publisher | None) -> str:
    if publisher is None:
        return "earlier"
    if _are_siblings(publisher, me):
        return "by another mapped instance of this task in this run"
    name = f"by {publisher.dag_id}.{publisher.task_id} ({publisher.run_id})"[:300]
    if me is None or publisher == me or replace(publisher, deployment=me.deployment) != me:
        return name
    if publisher.deployment is None:
        return f"{name}, nobody knows by which Airflow deployment,"
    if me.deployment is None:
        return f"{name}, perhaps by another Airflow deployment (the id of this one could not be read),"
    return f"{name} of another Airflow deployment"


def _is_in_doubt(publisher: Publisher | None, me: Publisher | None) -> bool:
    """Whether the owner may be this task instance after all, as the id of its deployment could not be read now."""
    if publisher is None or me is None or me.deployment is not None or publisher.deployment is None:
        return False
    return replace(publisher, deployment=None) == me


def _are_siblings(one: Publisher | None, other: Publisher | None) -> bool:
    if one is None or other is None or one.map_index == other.map_index:
        return False
    return replace(one, map_index=other.map_index) == other
