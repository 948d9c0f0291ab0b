"""Where a task instance keeps what its later steps and tries need.

Theory of operation. Airflow 3.3 has a store for the state of a task, which no retry and no clear empties. Before 3.3 there is
none; from 3.4 on a clear empties it, unless a person ticks a box; and ``[state_store] clear_on_success`` empties it on success.
In these cases Airflow Variables keep the state: tasks of every Airflow from 2.11 on can write them, and nothing but a
person removes them. Each holds one value of one task instance, whose tries follow each other, so no other task writes it.

Must never happen: a payment after a write that did not last. Airflow 3.1.8 logs an error of a write and goes on, and a
secrets backend may have a value under the same name. So what is written is read again. Airflow also reports a fault of a read
as "not found", so what a try that is not the first does not find is read twice.

Who may read Variables reads no secret and no prompt: a prompt is sealed with the API key. A task lists the Variables of its
runs in one more (:data:`INDEX`), and removes those that are older than :data:`KEPT_FOR`. Two runs that list theirs in the same
moment can lose an entry: then a Variable stays until a person removes it.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import airflow
from airflow.providers.common.compat.sdk import Variable, conf
from cryptography.fernet import Fernet, InvalidToken

from airflow_provider_seedream import xcom
from airflow_provider_seedream.wavespeed.errors import WaveSpeedError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)

KEPT_FOR = 8 * 86400.0
"""Seconds for which a Variable is kept, or a file of :mod:`.second_place`. The API itself shows a prediction for seven days (API reference 4)."""

INDEX = "seedream_index"
"""The first part of the name of the Variable that lists the others of a task."""

ANSWER = "seedream_answer"
"""The same of the Variable by which a person says what became of a lost submission."""

REMOVED_AT_ONCE = 20
"""Old Variables that one write removes, so that none takes long."""

LISTED_ONCE_IN = 3600.0
"""Seconds in which a task instance lists its Variables once."""

BEFORE_READING_AGAIN = 1.0
"""Seconds."""

_SEALED = frozenset({xcom.PROMPT})


class NotKeptError(WaveSpeedError):
    """What must outlive this try could not be kept. Nothing is paid for it.

    :param name: of the Variable.
    """

    transient = True

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Airflow did not keep Variable {name}, which must say what this task pays for: it reads back as another value. The "
            "log says why, if Airflow refused it. Otherwise a secrets backend has a value under this name; remove it there."
        )


class TaskStore:
    """Plain JSON by key, for one task instance and all of its tries. What is set is kept when :meth:`set` returns.

    :param context: Airflow's.
    :param task_id: the task.
    :param api_key: gives what seals a prompt; asked only where one is kept in a Variable.
    :ivar own: what tells this task instance apart from others: a digest.
    """

    def __init__(self, context: Context, task_id: str, api_key: Callable[[], str]) -> None:
        self._state: Any = context.get("task_state_store")
        self._ti: Any = context["ti"]
        self._task_id = task_id
        self._api_key = api_key
        self._listed = False
        self.own = _digest(self._ti.dag_id, self._ti.run_id, task_id, self._ti.map_index)

    def get(self, key: str) -> Any:
        """What is kept under a key, or ``None``."""
        # An earlier try may have kept it in the other place, before Airflow or its settings changed.
        if self._state is not None and _state_lasts():
            kept = self._state.get(key)
            return self._of_variable(key) if kept is None and self._ti.try_number > 1 else kept
        kept = self._of_variable(key)
        return self._state.get(key) if kept is None and self._state is not None else kept

    def set(self, key: str, value: Any) -> None:
        """Keep a value in place of the one before.

        :raises NotKeptError: if a Variable does not hold it afterwards.
        """
        if self._state is not None and _state_lasts():
            # Airflow's NEVER_EXPIRE, which older versions have no name for.
            self._state.set(key, value, retention=dt.timedelta.max)
            return
        name, text = self._name(key), json.dumps(value)
        if key in _SEALED:
            text = self._seal.encrypt(text.encode()).decode()
        index = f"[{self._ti.map_index}]" if self._ti.map_index >= 0 else ""
        what = "the prompt, sealed, of" if key in _SEALED else "what is paid by"
        _write(
            name,
            text,
            f"Seedream: {what} task {self._task_id}{index} of DAG {self._ti.dag_id} in run {self._ti.run_id}. The task needs it "
            f"until its run is over, and removes it after {KEPT_FOR / 86400:g} days. Without it the task searches its account "
            "before it pays.",
        )
        if key not in _SEALED:
            self._show(key, value)
        if not self._listed:
            self._listed = True
            self._list_and_remove_old()

    def place(self, key: str) -> str:
        """Where a person finds what is kept under a key."""
        if self._state is not None and _state_lasts():
            return f"key {key} of the task's state store"
        return f"Variable {self._name(key)}"

    @property
    def answer_name(self) -> str:
        """The Variable by which a person says what became of this task instance's lost submission."""
        return self._name(ANSWER)

    def answer(self) -> str | None:
        """What a person said, or ``None``."""
        said = Variable.get(self.answer_name, None)
        return None if said is None else str(said).strip()

    def keep_answer(self, said: str) -> None:
        """Keep what a person said by a form, as if it had been said by the Variable.

        :raises NotKeptError: if it does not hold it afterwards.
        """
        what = f"what a person said of the lost submission of task {self._task_id}"
        _write(self.answer_name, said, f"Seedream: {what}. It counts once.")

    def remove_answer(self) -> None:
        """Remove what a person said: it counts once.

        :raises NotKeptError: if it is still there afterwards.
        """
        Variable.delete(self.answer_name)
        if Variable.get(self.answer_name, None) is not None:
            raise NotKeptError(self.answer_name)

    def _show(self, key: str, value: Any) -> None:
        """Say it by XCom, too, for people and the gallery. Nothing is decided by that."""
        try:
            self._ti.xcom_push(key=key, value=value)
        except Exception:
            log.warning("XCom %s could not be written.", key, exc_info=True)

    def _name(self, key: str) -> str:
        return f"{key}_{self.own}"

    def _of_variable(self, key: str) -> Any:
        text = self._read(self._name(key))
        return None if text is None else self._opened(key, text)

    def _read(self, name: str) -> str | None:
        text: str | None = Variable.get(name, None)
        if text is None and self._ti.try_number > 1:
            time.sleep(BEFORE_READING_AGAIN)
            text = Variable.get(name, None)
        return text

    def _opened(self, key: str, text: str) -> Any:
        try:
            return json.loads(self._seal.decrypt(text.encode()) if key in _SEALED else text)
        except InvalidToken:
            log.warning("%s was sealed with another API key, and is not used.", self.place(key))
            return None
        except ValueError:
            return text

    @property
    def _seal(self) -> Fernet:
        return Fernet(
            base64.urlsafe_b64encode(hashlib.sha256(f"seedream prompt {self._api_key()}".encode()).digest())
        )

    def _list_and_remove_old(self) -> None:
        name = f"{INDEX}_{_digest(self._ti.dag_id, self._task_id, self._ti.map_index)}"
        try:
            now, listed = time.time(), json.loads(Variable.get(name, None) or "{}")
            old = [own for own, at in listed.items() if now - at > KEPT_FOR][:REMOVED_AT_ONCE]
            if not old and now - listed.get(self.own, 0) < LISTED_ONCE_IN:
                return
            for own in old:
                for key in (xcom.SUBMISSION, xcom.PROMPT, ANSWER):
                    if Variable.get(f"{key}_{own}", None) is not None:
                        Variable.delete(f"{key}_{own}")
            kept = {own: at for own, at in listed.items() if own not in old}
            what = f"task {self._task_id} of DAG {self._ti.dag_id} removes the oldest"
            Variable.set(
                name,
                json.dumps({**kept, self.own: round(now)}),
                description=f"Seedream: Variables of which {what}.",
            )
        except Exception:
            # They are small, and a person can remove them.
            log.warning("Variables of earlier runs could not be listed or removed.", exc_info=True)


def _write(name: str, text: str, description: str) -> None:
    Variable.set(name, text, description=description)
    if Variable.get(name, None) != text:
        raise NotKeptError(name)


def _state_lasts() -> bool:
    """Whether Airflow's state store, if it has one, keeps a task's state over a clear and a success."""
    version = tuple(int(part) for part in airflow.__version__.split(".")[:2])
    return version < (3, 4) and not conf.getboolean("state_store", "clear_on_success", fallback=False)


def _digest(*place: Any) -> str:
    return hashlib.sha256(json.dumps(place).encode()).hexdigest()[:32]
