"""The keys under which our tasks keep what other tasks, later tries or people read. They must not change.

All are keys of XComs. The last two are keys of Airflow's task state store, and names of Variables where that does not last.
There the record is an XCom as well, which only people and the gallery read.
"""

from __future__ import annotations

PREDICTION_ID = "prediction_id"
"""Which prediction is the task's own. Other tasks of the DAG leave it alone."""

EARLIER_PREDICTIONS = "earlier_predictions"
"""Which predictions the task paid for before it was cleared. Other tasks of the DAG leave them alone, too."""

LOST_SUBMISSION = "lost_submission"
"""When the task's paying request may have arrived. Until the task says which prediction is its own, other tasks of the DAG
take none of that time."""

SPENT_USD = "spent_usd"
"""What the task has paid, or may have, since it was last cleared: earlier tries included."""

UPLOADED_IMAGES = "uploaded_images"
"""Links of uploaded files by their digest: a try that waits for its turn uploads each once."""

ORDERED_IMAGE_SET = "ordered_image_set"
"""The image set that was paid for, with no images yet."""

IMAGE_URLS = "image_urls"
"""Links, or places, of the images that were delivered."""

COUNT = "count"
"""How many images a prompt asks for."""

SCENES = "scenes"
"""The texts of a prompt's scenes."""

ENHANCEMENT = "enhancement"
"""What the prompt optimizer wrote, and what it cost."""

APPROVED_IMAGE_SET = "approved_image_set"
"""The image set that a person approved."""

NEXT_PROMPT = "next_prompt"
"""The prompt with the note in it, once a set is rejected. Nothing is drawn without it."""

REJECTED_PREDICTION_ID = "rejected_prediction_id"
"""The prediction that was rejected: the next prompt is for what follows it, and for nothing else."""

SHOWN_PREDICTION_ID = "shown_prediction_id"
"""The prediction whose images a form shows."""

SHOWN_IMAGE_URLS = "shown_image_urls"
"""The links of the images that a form shows."""

SUBMISSION = "seedream_submission"
"""The submission record."""

PROMPT = "seedream_prompt"
"""The prompt that a function wrote."""
