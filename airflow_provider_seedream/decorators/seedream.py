"""``@task.seedream_sequential``: a function that writes the prompt, and the operator that does the rest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    DecoratedOperator,
    TaskDecorator,
    context_merge,
    determine_kwargs,
    task_decorator_factory,
)

from airflow_provider_seedream import submission as paying
from airflow_provider_seedream.operators import worker
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.wavespeed.errors import InvalidInputError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_seedream.submission import Submission
    from airflow_provider_seedream.wavespeed.prompt import PromptInput


class SeedreamSequentialDecoratedOperator(DecoratedOperator, SeedreamSequentialOperator):
    """Calls a function for its prompt, then goes on as :class:`.SeedreamSequentialOperator`.

    The function is called once for each image set, not once for each try. One that never says the same twice, such as a
    language model, would let a retry ask for another image set than the one that is paid, which the operator refuses;
    and who retries wants the images that are paid, not others beside them. So the prompt is kept beside the submission
    record, and as long as there is a record, retries go on with it. The function is called again where nothing was
    submitted: after a prompt that was refused, or a price over a ceiling; and where a person cleared the task to get new
    images, unless the old prediction still runs, which is then waited for. After a clear with ``on_clear="reuse"`` it is
    called again if the old prediction failed, as its prompt may be why. What is kept lasts as long as the record:
    across retries on Airflow 3.3 and newer, within one try before.

    A prompt that was kept counts for the arguments it was made from. Where they have changed, as after a clear of the list
    that the task is mapped over, the function is called, and its prompt goes through the operator's usual rules: a clear
    draws it, a retry is refused while another prompt is paid. So give no argument that changes by itself, such as
    ``{{ ti.try_number }}``: a function that asks for ``ti`` gets it without that.

    A prompt that makes no image set fails the try but not the task: the function may do better next time.
    """

    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *SeedreamSequentialOperator.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        **SeedreamSequentialOperator.template_fields_renderers,
    }
    custom_operator_name = "@task.seedream_sequential"
    texts_vary = True
    # So that the UI shows the prompt that the function gave.
    overwrite_rtif_after_execution = True

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if "prompt" in kwargs:
            raise InvalidInputError(
                "prompt", kwargs["prompt"], "the function gives the prompt", "Return it, and leave this out."
            )
        super().__init__(
            python_callable=python_callable, op_args=op_args, op_kwargs=op_kwargs, prompt="", **kwargs
        )

    def execute(self, context: Context) -> Any:
        """Ask the function for the prompt, unless an earlier try's is paid for; then submit and wait."""
        submission = self._open(context)
        self.prompt = self._prompt_of_an_earlier_try(submission)
        # Whatever the function does, other tasks are to know first what earlier tries paid for.
        if not self._will_resume(submission, context):
            self.prompt = self._write_prompt(submission, context)
            # The function may take minutes; by now another try may have begun.
            submission = self._open(context)
        return self._make(submission, context)

    def execute_postponed(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Continue after a pause that held no worker, with the same prompt.

        :param event: the timer's.
        """
        submission = self._open(context, resumed=True)
        self.prompt = self._prompt_of_an_earlier_try(submission) or self._write_prompt(submission, context)
        return self._make(submission, context)

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        """Continue after the deferral, without calling the function again.

        :param event: the trigger's.
        """
        # Whatever the arguments are by now: this is what is paid, and shown.
        kept = paying.KeptPrompt.read(self._store(context))
        self.prompt = kept.prompt if kept else None
        return super().execute_complete(context, event)

    def _prompt_of_an_earlier_try(self, submission: Submission) -> str | None:
        """The prompt that was kept, if the function made it from the arguments that it would get now."""
        kept = paying.KeptPrompt.read(submission.store)
        if kept is None:
            return None
        if not kept.is_for(paying.digest(self.op_args, self.op_kwargs)):
            self.log.info(
                "The function gets other arguments than for the prompt of the earlier try; calling it."
            )
            return None
        return kept.prompt

    def _write_prompt(self, submission: Submission, context: Context) -> str:
        """What the function gives, as text, which is kept. It is not rendered by Jinja: a language model may have written it.

        :raises InvalidInputError: if it makes no image set, or one of another count than ``max_images``.
        """
        # Before the function can change them.
        arguments = paying.digest(self.op_args, self.op_kwargs)
        prompt = self._call(context)
        paying.KeptPrompt(prompt, arguments).write(submission.store)
        return prompt

    def _call(self, context: Context) -> str:
        context_merge(context, self.op_kwargs)
        arguments = determine_kwargs(self.python_callable, self.op_args, context)
        given = self.python_callable(*self.op_args, **arguments)
        try:
            text = self._text(given)
            # As text it must pass, too, or it would fail the task and not the try.
            return self._text(text)
        except InvalidInputError as error:
            # Also for a retry policy: the function may do better next time.
            raise error.for_another_try() from error

    def _text(self, given: PromptInput) -> str:
        with_references = self.images is not None
        text, _ = worker.prompt_with_count(
            worker.prompt_text(given), self.max_images, references=with_references
        )
        return text


def seedream_sequential_task(
    python_callable: Callable[..., Any] | None = None, **kwargs: Any
) -> TaskDecorator:
    """Make a task of a function that gives a prompt: a text, a list of scenes, or an ``ImageSetPrompt``.

    The task gives what :class:`.SeedreamSequentialOperator` gives, and takes all of its arguments but ``prompt``. How
    often the function is called: see :class:`SeedreamSequentialDecoratedOperator`. A raw answer of a language model is
    best returned through :func:`airflow_provider_seedream.wavespeed.read_answer`.

    :param python_callable: the function.
    :param kwargs: arguments of the operator, and of any Airflow task.
    """
    # Airflow would take "-> dict" for what the task gives, which is not what the function gives.
    kwargs.setdefault("multiple_outputs", False)
    return task_decorator_factory(
        python_callable=python_callable,
        decorated_operator_class=SeedreamSequentialDecoratedOperator,
        **kwargs,
    )
