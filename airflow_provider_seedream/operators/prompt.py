"""The operator that makes the prompt of an image set."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_seedream.hooks.seedream import SeedreamHook
from airflow_provider_seedream.operators.arguments import refuse_unknown_arguments
from airflow_provider_seedream.operators.paying import PayingOperator, PriceSource
from airflow_provider_seedream.submission.policies import OnClear, OnLostSubmission
from airflow_provider_seedream.wavespeed.validation import parse_bool, parse_choice, parse_seconds

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_seedream.operators.prompt_job import PromptJob
    from airflow_provider_seedream.options import EnhancementMode, EnhancementStyle
    from airflow_provider_seedream.wavespeed.prompt import PromptInput

OnUnusableEnhancement = Literal["keep_original", "fail"]


class SeedreamPromptOperator(PayingOperator):
    """Makes the prompt of an image set: ``SeedreamSequentialOperator(prompt=<this task>.output)`` takes it as it is.

    From scenes, from a file beside the DAG, or from what a language model wrote, in text, list or JSON; scenes are put
    into the vendor's convention, with the count at the start. Gives the text. Also pushes ``count`` (how many images it
    asks for) and ``scenes`` (their texts, where they can be separated), for ``max_images=<this task>.output["count"]``
    or to map over.

    Free, unless ``enhance`` is set: then the vendor's optimizer rewrites the prompt ($0.001). That submission is paid once:
    a retry takes it up (Airflow 3.3+). The optimizer may lose what makes a prompt one of an image set, so its text is
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
        which is known to be good: the pictures are what the pipeline is for, and a retry would get the same text
        again. ``"fail"`` fails the task for good.
    :param seedream_conn_id: connection of type ``seedream``; used only to enhance, like all that follow.
    :param deferrable: wait in the triggerer for a turn to submit where the API rate limits it.
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
        deferrable: bool = True,
        timeout: float | dt.timedelta = dt.timedelta(minutes=5),
        price_source: PriceSource = "table",
        max_cost: float | str | None = None,
        on_lost_submission: OnLostSubmission = "fail",
        on_clear: OnClear = "resubmit",
        **kwargs: Any,
    ) -> None:
        refuse_unknown_arguments(type(self), kwargs)
        super().__init__(**kwargs)
        parse_choice("on_unusable_enhancement", on_unusable_enhancement, OnUnusableEnhancement)
        parse_choice("price_source", price_source, PriceSource)
        parse_choice("on_lost_submission", on_lost_submission, OnLostSubmission)
        parse_choice("on_clear", on_clear, OnClear)
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
        self.on_unusable_enhancement = on_unusable_enhancement
        self.seedream_conn_id = seedream_conn_id
        self.deferrable = parse_bool("deferrable", deferrable)
        self.timeout = parse_seconds("timeout", timeout, least=10.0)
        self.price_source = price_source
        self.max_cost = max_cost
        self.on_lost_submission: OnLostSubmission = on_lost_submission
        self.on_clear: OnClear = on_clear
        self.names_given = [name for name in self.template_fields if getattr(self, name) is not None]

    def resolve_template_files(self) -> None:
        """Put the content of files in the place of their names, in a list of our own and not in the author's."""
        if isinstance(self.prompt, list):
            self.prompt = list(self.prompt)
        super().resolve_template_files()

    def execute(self, context: Context) -> str:
        """Make the prompt.

        :raises AirflowFailException: where trying again would not help.
        """
        return self._job(context).run(came_back=False)

    def execute_postponed(self, context: Context, event: Any = None) -> str:
        """Go on after a pause that held no worker: it is our turn to submit, or to look again.

        :param event: the timer's.
        """
        return self._job(context).run(came_back=True)

    def _job(self, context: Context) -> PromptJob:
        from airflow_provider_seedream.operators.prompt_job import PromptJob

        return PromptJob.of(self, context)
