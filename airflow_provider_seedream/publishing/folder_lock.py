"""Whose folder it is: a set is replaced only where its publisher, or the user, said so; a file of others on request only."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_seedream.publishing.errors import FolderTakenError, ForeignFileError
from airflow_provider_seedream.publishing.journal import (
    JOURNAL_NAME,
    Digests,
    Journal,
    merged,
    read_manifest,
    set_key,
)
from airflow_provider_seedream.publishing.manifest import MANIFEST_NAME, Manifest, TaskInstanceKey
from airflow_provider_seedream.publishing.names import (
    FileNames,
    is_file_name,
    possible_files,
)
from airflow_provider_seedream.publishing.storage import Folder
from airflow_provider_seedream.wavespeed.image_set import GeneratedImage, ImageSet
from airflow_provider_seedream.wavespeed.validation import plain

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_seedream.options import OnExisting

log = logging.getLogger(__name__)

WAY_OUT_BEFORE_PAYING = (
    'Nothing is paid. Put "{{ run_id }}", and "{{ ti.map_index }}" where it is mapped, into the path.'
)


@dataclass(frozen=True, slots=True)
class Contents:
    """What was in a folder when a publish began.

    :param manifest: the manifest, where there is one of this package.
    :param record: the journal of a publish that has not come to its end.
    :param names: everything that is there, and whether it is no file.
    :param ours: files that this package wrote, or was about to write.
    :param noted: the ones that only the journal of an unfinished publish names: a file there may be foreign, as that
        publish may have been refused, or killed, before it wrote it, or after it removed it.
    """

    folder: Folder
    manifest: Manifest | None
    record: Journal | None
    names: dict[str, bool]
    ours: Digests
    noted: Digests

    @classmethod
    def of(cls, folder: Folder) -> Contents:
        """List a folder, and read its manifest and journal where it has them."""
        names = folder.names()
        manifest, manifest_is_ours, record, record_is_ours = None, None, None, None
        # What is no file is not read: a pipe would be waited for without an end.
        if (there := folder.names_like(MANIFEST_NAME, names)) and not names[there]:
            manifest, manifest_is_ours = read_manifest(folder)
            if manifest_is_ours is None and folder.is_gone(MANIFEST_NAME):
                names.pop(MANIFEST_NAME, None)  # gone since it was listed: another publish is at work
        if (there := folder.names_like(JOURNAL_NAME, names)) and not names[there]:
            record, record_is_ours = Journal.read(folder)
            if record_is_ours is None and folder.is_gone(JOURNAL_NAME):
                names.pop(JOURNAL_NAME, None)
        ours: dict[str, frozenset[str]] = {}
        if manifest is not None:
            # A manifest may have been written by hand: it speaks for files only that this package could have written.
            ours = {name: frozenset({sha}) for name, sha in manifest.files.items() if is_file_name(name)}
        noted: dict[str, frozenset[str]] = {}
        if record is not None:
            noted = {name: digests for name, digests in record.files().items() if name not in ours}
            ours = merged(ours, record.files())
        # Where nothing is known of the set, a manifest that broke off is not enough to write over it.
        if manifest is not None or (record is not None and manifest_is_ours):
            ours[MANIFEST_NAME] = frozenset()
        if record_is_ours:
            ours[JOURNAL_NAME] = frozenset()
        return cls(folder, manifest, record, names, ours, noted)

    def refuse_strangers(
        self,
        wanted: Iterable[str],
        on_existing: OnExisting,
        *,
        key: str | None = None,
        unpaid: str = "",
        intact: Container[str] = (),
    ) -> None:
        """Refuse to write over a file that is not this package's, or that was changed since this package wrote it.

        What the manifest of this very set names belongs to the set, and is written again unless ``on_existing`` is ``"fail"``.

        :param key: of the set that is to be published, by :func:`.journal.set_key`; None for a set to come.
        :param wanted: the names that would be written, manifest and journal aside.
        :param on_existing: ``"replace"`` writes over files, and over nothing else.
        :param unpaid: the way out where the set is not paid yet.
        :param intact: names whose files were found to be this set's.
        :raises ForeignFileError: naming what is there.
        """
        same_set = (
            self.manifest is not None and set_key(self.manifest.image_set) == key and on_existing != "fail"
        )
        found = {
            there: self.names[there]
            for name in dict.fromkeys((MANIFEST_NAME, JOURNAL_NAME, *wanted))
            if (there := self.folder.names_like(name, self.names)) is not None
            and (self.names[there] or not self._is_ours(name, intact, same_set=same_set))
        }
        in_the_way = [name for name, is_folder in found.items() if is_folder or on_existing != "replace"]
        if in_the_way:
            way_out = unpaid or "Give the set a folder of its own, or move what is there."
            if not unpaid and not any(found.values()):
                way_out += ' To overwrite it, set on_existing="replace" (on the command line: --replace).'
            raise ForeignFileError(str(self.folder), in_the_way, way_out)
        if found:
            log.warning("%s: %s may be overwritten.", self.folder, ", ".join(map(ascii, found)))

    def _is_ours(self, name: str, intact: Container[str], *, same_set: bool) -> bool:
        digests = self.ours.get(name)
        if digests is None:
            return False
        known = name in intact or (same_set and name not in self.noted)
        if known or name in (MANIFEST_NAME, JOURNAL_NAME):
            return True
        return self.folder.digest(name) in {None, *digests}

    def refuse_taken(self, mine: Journal, on_existing: OnExisting) -> None:
        """Refuse a folder that holds another set which may not be replaced, or not yet.

        :param mine: the set that is to be published.
        :raises FolderTakenError: transient where another publish may still be at work.
        """
        others: list[tuple[str, TaskInstanceKey | None, float]] = []
        if (found := self.manifest) and set_key(found.image_set) != mine.key:
            others.append((found.image_set.prediction_id, found.published_by, 0.0))
        if (unfinished := self.record) and unfinished.key != mine.key:
            others.append((unfinished.prediction_id, unfinished.published_by, unfinished.busy_until))
        for prediction_id, owner, busy_until in others:
            _refuse(prediction_id, owner, busy_until, mine, on_existing)
            log.warning(
                "Prediction %s in %s will be replaced by %s.", prediction_id, self.folder, mine.prediction_id
            )


def refuse_others(
    target: ObjectStoragePath,
    me: TaskInstanceKey | None,
    *,
    prompt: str | None = None,
    images: int = 0,
    companions: Iterable[str] = (),
    replaces: bool = False,
    way_out: str = WAY_OUT_BEFORE_PAYING,
) -> None:
    """Refuse a folder that holds what another task instance published, or files of others, before anything is paid.

    :param target: the folder.
    :param prompt: of the request, which asks for so many ``images``: their files may get the names that follow.
    :param companions: names of further files that the set gets.
    :param replaces: whether the set may take the place of others and of files; a folder stops it nevertheless.
    :param way_out: for the error.
    :raises FolderTakenError: naming what is there.
    """
    folder = Folder(target)
    contents = Contents.of(folder)
    there = [each for each in (contents.manifest, contents.record) if each is not None and not replaces]
    for each in there:
        if each.published_by is None or each.published_by != me:
            raise FolderTakenError(
                str(folder),
                each.image_set.prediction_id if isinstance(each, Manifest) else each.prediction_id,
                _how(each.published_by, me),
                way_out,
                transient=_is_in_doubt(each.published_by, me),
            )
    # Fewer images may come than were requested, and their scenes are not known then.
    whole = ImageSet("", "", prompt, None, images, (GeneratedImage(""),) * images, None)
    scenes = [*zip(whole.numbers, whole.scenes, strict=True), *((number, None) for number in whole.numbers)]
    stems = {FileNames().stem(number, scene, "") for number, scene in scenes}
    wanted = [name for stem in sorted(stems) for name in possible_files(stem, None)]
    policy: OnExisting = "replace" if replaces else "replace_own"
    contents.refuse_strangers([*wanted, *companions], policy, unpaid=way_out)


def _refuse(
    prediction_id: str,
    owner: TaskInstanceKey | None,
    busy_until: float,
    mine: Journal,
    on_existing: OnExisting,
) -> None:
    folder, me = str(mine.folder), mine.published_by
    # Without a task instance there is no owner. Then a set is its prediction's, however much of it was known.
    own = owner == me and (owner is not None or prediction_id == mine.prediction_id)
    if _are_siblings(owner, me):
        way_out = 'Give each its own folder: put "{{ ti.map_index }}" into path.'
        raise FolderTakenError(folder, prediction_id, _how(owner, me), way_out)
    how = _how(owner, me)
    if on_existing == "fail" or (on_existing == "replace_own" and not own):
        way_out = 'Put "{{ run_id }}" into the path, or set on_existing="replace" (on the command line: --replace) to delete what is there.'
        in_doubt = on_existing == "replace_own" and _is_in_doubt(owner, me)
        raise FolderTakenError(folder, prediction_id, how, way_out, transient=in_doubt)
    # An earlier try of this very task instance is over: Airflow ends one before it starts the next.
    if busy_until > time.time() and not own:
        until = dt.datetime.fromtimestamp(busy_until, dt.UTC).strftime("%H:%M:%SZ")
        way_out = (
            f"It may still be at work; unless it says more, its folder is free after {until}: try again then."
        )
        raise FolderTakenError(folder, prediction_id, f"{how} and not finished", way_out, transient=True)


def _how(owner: TaskInstanceKey | None, me: TaskInstanceKey | None) -> str:
    if owner is None:
        return "earlier"
    if _are_siblings(owner, me):
        return "by another mapped instance of this task in this run"
    name = "by " + plain(f"{owner.dag_id}.{owner.task_id} ({owner.run_id})", 300)
    if me is None or owner == me or replace(owner, deployment=me.deployment) != me:
        return name
    if owner.deployment is None:
        return f"{name}, by an unknown Airflow deployment"
    if not me.deployment:
        return f"{name}, perhaps by another Airflow deployment (the id of this one could not be read)"
    return f"{name} of another Airflow deployment"


def _is_in_doubt(owner: TaskInstanceKey | None, me: TaskInstanceKey | None) -> bool:
    """Whether the owner may be this task instance after all, as the id of its deployment could not be read now."""
    if owner is None or me is None or me.deployment or owner == me:
        return False
    return replace(owner, deployment=me.deployment) == me


def _are_siblings(one: TaskInstanceKey | None, other: TaskInstanceKey | None) -> bool:
    if one is None or other is None or one.map_index == other.map_index:
        return False
    return replace(one, map_index=other.map_index) == other
