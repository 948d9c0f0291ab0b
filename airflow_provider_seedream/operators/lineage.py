"""What our operators tell OpenLineage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_seedream.publishing.publish import Published
    from airflow_provider_seedream.wavespeed.image_set import ImageSet


class TellsLineage:
    """An operator that remembers what its run made, for as long as its process lives.

    :cvar made: the image set, as far as it came.
    :cvar published: where it was published.
    """

    made: ImageSet | None = None
    published: Published | None = None

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """What the OpenLineage provider asks for when the task ends, in failure as well; None where it is not installed."""
        if self.made is None:
            return None
        try:
            from airflow_provider_seedream.lineage.openlineage import lineage_of
        except ImportError:
            return None
        return lineage_of(self.made, self.published)
