"""What a try of the prompt operator does once it runs. Imported by then only, as DAG files are parsed often."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_seedream.operators.arguments import refuse_what_rendered_to_nothing
from airflow_provider_seedream.operators.paid_job import PaidJob
from airflow_provider_seedream.waiting.poll import PollResult
from airflow_provider_seedream.waiting.schedule import FLOOR, PollSchedule
from airflow_provider_seedream.wavespeed.errors import InvalidInputError, UnusableEnhancementError
from airflow_provider_seedream.wavespeed.optimizer import EnhancementRequest, reconciled
from airflow_provider_seedream.wavespeed.prompt import ImageSetPrompt
from airflow_provider_seedream.wavespeed.prompt_parsing import prompt_text, read_answer, scenes_of
from airflow_provider_seedream.wavespeed.request import ImageSetRequest

if TYPE_CHECKING:
    from airflow_provider_seedream.operators.prompt import SeedreamPromptOperator
    from airflow_provider_seedream.wavespeed.prediction import Prediction


@dataclass(frozen=True, slots=True)
class PromptJob(PaidJob):
    """One try of one task: from its rendered inputs to a prompt."""

    task: SeedreamPromptOperator

    def run(self, *, came_back: bool) -> str:
        """Read the prompt, and enhance it where that is wanted.

        :param came_back: whether this goes on after a pause within the same try.
        """
        with self.errors_told():
            refuse_what_rendered_to_nothing(self.task, self.task.names_given)
            written = self._written()
            # As text, which is what the next task gets, and would refuse.
            request = ImageSetRequest.build(prompt=prompt_text(written), max_images=self.task.max_images)
            text = self._enhanced(request, came_back=came_back) if self.task.enhance else request.prompt
            scenes = scenes_of(text)
            if text == request.prompt and isinstance(written, ImageSetPrompt):
                scenes = tuple(scene.text for scene in written.scenes)
            self.push("count", request.max_images)
            self.push("scenes", list(scenes))
            if self.task.enhance:
                self.mark_delivered()
            return text

    def _written(self) -> ImageSetPrompt | str:
        task = self.task
        prompt = task.prompt
        # What a task gave in several lines is no name of a file, whatever it ends with, and need not be YAML.
        is_content = "prompt" in task.from_tasks and "\n" in str(prompt)
        if isinstance(prompt, str) and task.prompt_is_yaml and not is_content:
            prompt = _yaml(prompt)
        return read_answer(prompt, characters=task.characters, style=task.style, palette=task.palette)

    def _enhanced(self, original: ImageSetRequest, *, came_back: bool) -> str:
        task = self.task
        request = EnhancementRequest.build(
            text=original.prompt, mode=task.enhancement_mode, style=task.enhancement_style
        )
        prediction = self._completed(self.obtain(request, came_back=came_back))
        written = "".join(prediction.outputs[:1])
        record = self.store.read()
        cost_usd = record.cost_usd if record else request.cost_usd
        try:
            text, unusable = reconciled(original, written), None
        except UnusableEnhancementError as error:
            text, unusable = original.prompt, str(error)
        enhancement = {
            "prediction_id": prediction.id,
            "text": written,
            "cost_usd": cost_usd,
            "unusable": unusable,
        }
        self.push("enhancement", enhancement)
        if unusable is None:
            task.log.info("Prediction %s enhanced the prompt ($%g): %r", prediction.id, cost_usd, text)
            return text
        what = (
            f"Prediction {prediction.id} (${cost_usd:g}) enhanced the prompt to what cannot be used: {unusable}. "
            f"It wrote: {written!r}."
        )
        if task.on_unusable_enhancement == "fail":
            way_out = (
                'Set on_unusable_enhancement="keep_original", or clear the task to have it written again.'
            )
            raise UnusableEnhancementError(f"{what} {way_out}")
        task.log.warning("%s Going on with the prompt as it was.", what)
        return text

    def _completed(self, prediction: Prediction) -> Prediction:
        if prediction.status.ended:
            verdict = PollResult.of(prediction)
        else:
            schedule = PollSchedule.every(FLOOR)
            verdict = self.task.hook.wait(
                prediction.id,
                deadline=self.deadline(),
                # Nothing is deferred, and the optimizer takes seconds.
                schedule=replace(schedule, first=schedule.interval),
            )
        if verdict.error is not None:
            raise verdict.error
        return verdict.prediction or prediction


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
        # Also where a task gave the name: Airflow reads no file then, and the name would be the prompt.
        rule = "it is no YAML of scenes, but perhaps the name of a file that came from a task"
        way_out = (
            "Write scenes: and a list in the file, and name it in the DAG; or have the task give the content."
        )
        raise InvalidInputError("prompt", text, rule, way_out)
    return content
