"""What the OpenLineage provider, the real one, gets to know of an image set and of its publication."""

from __future__ import annotations

import hashlib
import json

import attrs
import pytest
from airflow.providers.openlineage.extractors.base import DefaultExtractor
from openlineage.client.serde import Serde

from airflow_provider_seedream.lineage.assets import event_extra
from airflow_provider_seedream.operators.publish import SeedreamPublishOperator
from airflow_provider_seedream.operators.seedream import SeedreamSequentialOperator
from airflow_provider_seedream.wavespeed import ImageSet
from tests.components.airflow_context import Tries, run

pytestmark = pytest.mark.usefixtures("hurried")

COLUMNS = {"file": "string", "sha256": "string", "bytes": "integer", "width": "integer", "flagged": "boolean"}


def draw(**arguments):
    return SeedreamSequentialOperator(**{"task_id": "gen", "prompt": ["a fox", "an owl"], **arguments})


def lineage(operator):
    """As the provider's listener asks for it."""
    return DefaultExtractor(operator).extract_on_complete(task_instance=None)


def publication(tmp_path, **arguments):
    result = run(draw(**arguments), Tries())
    publish = SeedreamPublishOperator(task_id="publish", image_set=result, path=f"file://{tmp_path}/set")
    publish.execute({})
    return result, publish


def test_a_publication_leads_from_the_prompt_to_the_folder(seedream_emulator, tmp_path):
    result, publish = publication(tmp_path)
    told = lineage(publish)
    digest = hashlib.sha256(result["prompt"].encode()).hexdigest()
    (prompt,) = told.inputs
    assert (prompt.namespace, prompt.name) == ("seedream", f"prompt/{digest}")
    assert prompt.facets["documentation"].description == result["prompt"]
    (folder,) = told.outputs
    assert (folder.namespace, folder.name) == ("file", f"{tmp_path}/set")
    columns = {field.name: field.type for field in folder.facets["schema"].fields}
    assert columns.items() >= COLUMNS.items()
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    assert set(columns) == set(manifest["images"][0]) - {"url"}
    statistics = folder.outputFacets["outputStatistics"]
    assert statistics.rowCount == 2
    assert statistics.size == sum(image["bytes"] for image in manifest["images"])


def test_the_cost_and_the_counts_are_told_of_the_run(seedream_emulator, tmp_path):
    result, publish = publication(tmp_path)
    (facet,) = lineage(publish).run_facets.values()
    plain = json.loads(Serde.to_json(facet))
    assert {key: value for key, value in plain.items() if not key.startswith("_")} == {
        "predictionId": result["prediction_id"],
        "model": "bytedance/seedream-v5.0-lite/sequential",
        "size": "2048*2048",
        "promptSha256": hashlib.sha256(result["prompt"].encode()).hexdigest(),
        "requested": 2,
        "images": 2,
        "costUsd": 0.07,
        "inferenceMs": result["inference_ms"],
    }


def test_an_image_set_that_is_not_published_has_a_prompt_and_a_cost_and_no_output(seedream_emulator):
    operator = draw()
    run(operator, Tries())
    told = lineage(operator)
    assert (len(told.inputs), told.outputs, len(told.run_facets)) == (1, [], 1)


def test_an_image_set_that_is_published_by_its_own_task_has_an_output(seedream_emulator, tmp_path):
    operator = draw(output_path=f"file://{tmp_path}/own")
    run(operator, Tries())
    (folder,) = lineage(operator).outputs
    assert folder.name == f"{tmp_path}/own"


def test_a_task_that_made_nothing_tells_nothing(seedream_emulator):
    operator = draw(max_cost=0.01)
    with pytest.raises(Exception, match="ceiling"):
        run(operator, Tries())
    assert lineage(operator) is None


def test_no_secret_and_no_link_is_told(seedream_emulator, tmp_path):
    result, publish = publication(tmp_path)
    told = lineage(publish)
    parts = [*told.inputs, *told.outputs, *told.run_facets.values()]
    seen = "\n".join(Serde.to_json(part) for part in parts)
    assert result["prediction_id"] in seen
    assert seedream_emulator.api_key not in seen
    assert not [image["url"] for image in result["images"] if image["url"] in seen]
    assert "http://127.0.0.1" not in seen


def test_a_long_prompt_is_told_in_part(seedream_emulator, tmp_path):
    _, publish = publication(tmp_path, prompt=f"2 images. {'long ' * 1000}")
    (prompt,) = lineage(publish).inputs
    assert len(prompt.facets["documentation"].description) == 2000


def test_a_facet_is_a_value_of_openlineage(seedream_emulator):
    operator = draw()
    run(operator, Tries())
    (facet,) = lineage(operator).run_facets.values()
    assert attrs.asdict(facet)["_schemaURL"].endswith("/RunFacet")


def test_the_extra_of_an_event_is_small_and_holds_neither_prompt_nor_link(seedream_emulator):
    result = run(draw(prompt=["a fox in the snow " * 50, "an owl"]), Tries())
    extra = json.dumps(event_extra(ImageSet.from_json(result)))
    assert len(extra) < 600
    assert "fox" not in extra
    assert "http" not in extra
