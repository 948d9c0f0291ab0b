"""The operator that makes the prompt of an image set."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_seedream import xcom
from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.operators import worker
from airflow_provider_seedream.operators.arguments import (
    parse_deferrable,
    parse_on_lost_submission,
    refuse_unknown_arguments,
    refuse_what_rendered_to_nothing,
)
from airflow_provider_seedream.operators.base import PayingOperator
from airflow_provider_seedream.options import (
    EnhancementMode,
    EnhancementStyle,
    OnClear,
    OnLostSubmission,
    OnUnusableEnhancement,
    PriceSource,
)
from airflow_provider_seedream.wavespeed.errors import InvalidInputError, UnusableEnhancementError
from airflow_provider_seedream.wavespeed.prompt import ImageSetPrompt
from airflow_provider_seedream.wavespeed.prompt_parsing import prompt_text, read_answer, scenes_of
from airflow_provider_seedream.wavespeed.validation import (
    MOST_OF_TEXT,
    parse_bool,
    parse_choice,
    parse_seconds,
    plain,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_seedream.submission import Paid, Submission
    from airflow_provider_seedream.wavespeed.prediction import Prediction
    from airflow_provider_seedream.wavespeed.prompt import PromptInput
    from airflow_provider_seedream.wavespeed.request import ImageSetRequest


class SeedreamPromptOperator(PayingOperator):
    """Makes the prompt of an image set: ``SeedreamSequentialOperator(prompt=<this task>.output)`` takes it as it is.

    From scenes, from a file beside the DAG, or from what a language model wrote, in text, list or JSON; scenes are put
    into the vendor's convention, with the count at the start. Gives the text. Also pushes ``count`` (how many images it
    asks for) and ``scenes`` (their texts, where they can be separated), for ``max_images=<this task>.output["count"]``
    or to map over.

    Free, unless ``enhance`` is set: then the vendor's optimizer rewrites the prompt ($0.001). That submission is paid once:
    a retry resumes it (Airflow 3.3+). The optimizer may lose what makes a prompt one of an image set, so its text is
    checked: a missing count, and ordinals that became a numbered list, are put right; where it asks for another number
    of images, or tells the scenes in another order or not apart, it is unusable. Then pushes ``enhancement`` as well:
    ``prediction_id``, ``text`` as the optimizer wrote it, ``cost_usd``, and ``unusable``: why, or null.

    :param prompt: a list of scenes, an ``ImageSetPrompt`` or its mapping; the name of a ``.txt``, ``.md`` or ``.yaml``
        file, found as Airflow finds templates and rendered by Jinja, with scenes as a list in lines, or in YAML with
        the keys of the mapping; or the ``.output`` of a task. What that task gives is never rendered by Jinja. A text
        without scenes is a prompt as it stands.
    :param characters: who appears in every image; so also the next two, see ``ImageSetPrompt``. Only with scenes.
    :param style: how every image looks.
    :param palette: the colours of the set.
    :param max_images: how many images must come out, 1 to 15; default: as many as the prompt has. A language model
        that wrote another number of scenes is refused here, before anything is paid.
    :param enhance: have the prompt rewritten by ``wavespeed-ai/prompt-optimizer``.
    :param enhancement_mode: ``"image"`` or ``"video"``.
    :param enhancement_style: ``"default"``, ``"artistic"``, ``"photographic"``, ``"technical"``, ``"anime"`` or
        ``"realistic"``.
    :param on_unusable_enhancement: ``"keep_original"`` (default) logs a warning and goes on with the prompt as it was,
        which is known to be good: the images are what the pipeline is for, and a retry would get the same text
        again. ``"fail"`` fails the task for good.
    :param seedream_conn_id: connection of type ``seedream``; used only to enhance, like all that follow.
    :param deferrable: wait in the triggerer for a turn to submit where the API rate limits it, or is away; default as for
        ``SeedreamSequentialOperator``.
    :param timeout: how long to wait for the optimizer, in the worker, as it takes seconds; seconds or timedelta,
        default five minutes.
    :param price_source: ``"table"`` prices by the documented table, ``"api"`` asks the API.
    :param max_cost: ceiling in USD for the enhancement; those of the connection count as well.
    :param on_lost_submission: as for ``SeedreamSequentialOperator``; so is the next.
    :param on_clear: what clearing the task means: ``"resubmit"`` or ``"reuse"``.
    """

    template_fields: Sequence[str] = (
        "prompt",
        "characters",
        "style",
        "palette",
        "max_images",
        "enhancement_mode",
        "enhancement_style",
        "max_cost",
        "seedream_conn_id",
    )
    template_ext: Sequence[str] = (".txt", ".md", ".yaml", ".yml")
    template_fields_renderers: ClassVar[dict[str, str]] = {"prompt": "md"}
    ui_color = "#f5f0e1"

    def __init__(
        self,
        *,
        prompt: PromptInput,
        characters: str = "",
        style: str = "",
        palette: str = "",
        max_images: int | str | None = None,
        enhance: bool = False,
        enhancement_mode: EnhancementMode = "image",
        enhancement_style: EnhancementStyle = "default",
        on_unusable_enhancement: OnUnusableEnhancement = "keep_original",
        seedream_conn_id: str = SeedreamHook.default_conn_name,
        deferrable: bool | None = None,
        timeout: float | dt.timedelta = dt.timedelta(minutes=5),
        price_source: PriceSource = "table",
        max_cost: float | str | None = None,
        on_lost_submission: OnLostSubmission = "fail",
        on_clear: OnClear = "resubmit",
        **kwargs: Any,
    ) -> None:
        refuse_unknown_arguments(type(self), kwargs)
        super().__init__(**kwargs)
        self.on_unusable_enhancement = parse_choice(
            "on_unusable_enhancement", on_unusable_enhancement, OnUnusableEnhancement
        )
        self.price_source = parse_choice("price_source", price_source, PriceSource)
        self.on_lost_submission = parse_on_lost_submission(on_lost_submission)
        self.on_clear = parse_choice("on_clear", on_clear, OnClear)
        self.prompt: object = prompt
        # Airflow puts a file's content in the place of its name, so only now is it known what it is.
        self.prompt_is_yaml = isinstance(prompt, str) and prompt.endswith((".yaml", ".yml"))
        self.characters = characters
        self.style = style
        self.palette = palette
        self.max_images = max_images
        self.enhance = parse_bool("enhance", enhance)
        self.enhancement_mode = enhancement_mode
        self.enhancement_style = enhancement_style
        self.seedream_conn_id = seedream_conn_id
        self.deferrable = parse_deferrable(deferrable)
        self.timeout = parse_seconds("timeout", timeout, least=10.0)
        self.max_cost = max_cost
        self.names_given = [name for name in self.template_fields if getattr(self, name) is not None]
        worker.refuse_wrong_prompt_literals(self)

    def resolve_template_files(self) -> None:
        """Put the content of files in the place of their names, in a list of our own and not in the author's."""
        if isinstance(self.prompt, list):
            self.prompt = list(self.prompt)
        super().resolve_template_files()

    def execute(self, context: Context) -> str:
        """Make the prompt.

        :raises AirflowFailException: where trying again would not help.
        """
        return self._make(self._open(context), context)

    def execute_postponed(self, context: Context, event: Any = None) -> str:
        """Continue after a pause that held no worker: it is our turn to submit, or to search again.

        :param event: the timer's.
        """
        return self._make(self._open(context, resumed=True), context)

    def _make(self, submission: Submission, context: Context) -> str:
        with self._errors_name_what_is_paid(submission, context, may_pay=self.enhance):
            refuse_what_rendered_to_nothing(self, self.names_given)
            written = self._written()
            # As text, which is what the next task gets, and would refuse.
            request = worker.ImageSetRequest.build(prompt=prompt_text(written), max_images=self.max_images)
            text = self._enhanced(request, submission, context) if self.enhance else request.prompt
            scenes = scenes_of(text)
            if text == request.prompt and isinstance(written, ImageSetPrompt):
                scenes = tuple(scene.text for scene in written.scenes)
            self._push(context, xcom.COUNT, request.max_images)
            self._push(context, xcom.SCENES, list(scenes))
            if self.enhance:
                submission.delivered()
            return text

    def _written(self) -> ImageSetPrompt | str:
        prompt = self.prompt
        if isinstance(prompt, str) and self.prompt_is_yaml:
            if "prompt" not in self.from_tasks:
                prompt = _yaml(prompt)
            elif "\n" not in prompt:
                # Airflow reads no file for it. In several lines it is no name of a file, whatever it ends with.
                raise _perhaps_a_file(prompt)
        return read_answer(prompt, characters=self.characters, style=self.style, palette=self.palette)

    def _enhanced(self, original: ImageSetRequest, submission: Submission, context: Context) -> str:
        request = worker.EnhancementRequest.build(
            text=original.prompt, mode=self.enhancement_mode, style=self.enhancement_style
        )
        prediction = self._completed(self._pay_once(request, submission, context), submission)
        written = plain("".join(prediction.outputs[:1]), MOST_OF_TEXT, lines=True)
        cost_usd = submission.record.cost_usd if submission.record else request.cost_usd
        try:
            _refuse_altered(written)
            text, unusable = worker.reconciled(original, written), None
        except UnusableEnhancementError as error:
            text, unusable = original.prompt, str(error)
        enhancement = {
            "prediction_id": prediction.id,
            "text": written,
            "cost_usd": cost_usd,
            "unusable": unusable,
        }
        self._push(context, xcom.ENHANCEMENT, enhancement)
        if unusable is None:
            self.log.info("Prediction %s enhanced the prompt ($%g): %r", prediction.id, cost_usd, text)
            return text
        what = (
            f"Prediction {prediction.id} (${cost_usd:g}) enhanced the prompt to what cannot be used: {unusable}. "
            f"It wrote: {written!r}."
        )
        if self.on_unusable_enhancement == "fail":
            way_out = (
                'Set on_unusable_enhancement="keep_original", or clear the task to have it written again.'
            )
            raise UnusableEnhancementError(f"{what} {way_out}")
        self.log.warning("%s Going on with the prompt as it was.", what)
        return text

    def _completed(self, paid: Paid, submission: Submission) -> Prediction:
        seen = paid.prediction
        if seen is not None and seen.status.ended:
            verdict = worker.PollResult.of(seen)
        else:
            schedule = worker.PollSchedule.every(worker.FLOOR)
            verdict = self.hook.wait(
                paid.prediction_id,
                deadline=submission.deadline,
                # Nothing is deferred, and the optimizer takes seconds.
                schedule=replace(schedule, first=schedule.interval),
            )
        if verdict.error is not None:
            raise verdict.error
        assert verdict.prediction is not None  # noqa: S101 - what is complete was seen
        return verdict.prediction


def _yaml(text: str) -> Any:
    import yaml  # type: ignore[import-untyped]

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        rule = f"the file is no YAML ({error})"
        raise InvalidInputError(
            "prompt", text, rule, "Put values that Jinja fills in through | tojson."
        ) from None
    if not isinstance(content, dict | list):
        raise _perhaps_a_file(text)
    return content


def _perhaps_a_file(text: str) -> InvalidInputError:
    rule = "it is no YAML of scenes, but perhaps the name of a file that came from a task"
    way_out = (
        "Write scenes: and a list in the file, and name it in the DAG; or have the task give the content."
    )
    return InvalidInputError("prompt", text, rule, way_out)


def _refuse_altered(written: str) -> None:
    """Refuse a text of the optimizer of which something had to go so that stores take it.

    :raises UnusableEnhancementError: saying what.
    """
    if "\N{REPLACEMENT CHARACTER}" in written:
        raise UnusableEnhancementError("it has characters that no database stores")
    if len(written) >= MOST_OF_TEXT:
        raise UnusableEnhancementError(f"it is longer than {MOST_OF_TEXT:,} characters")
