"""From links that die after seven days to verified images in a folder, with a manifest written last.

Loaded at first use: operators are parsed with each DAG, and only a worker needs what is here.
"""

from typing import TYPE_CHECKING

from airflow_provider_seedream._lazy import attach

if TYPE_CHECKING:
    from airflow_provider_seedream.publishing.addresses import Zone as Zone
    from airflow_provider_seedream.publishing.addresses import Zones as Zones
    from airflow_provider_seedream.publishing.addresses import no_zones as no_zones
    from airflow_provider_seedream.publishing.addresses import zones_of as zones_of
    from airflow_provider_seedream.publishing.download import DownloadLimits as DownloadLimits
    from airflow_provider_seedream.publishing.errors import FolderTakenError as FolderTakenError
    from airflow_provider_seedream.publishing.errors import ImageError as ImageError
    from airflow_provider_seedream.publishing.errors import StoreError as StoreError
    from airflow_provider_seedream.publishing.folder_lock import refuse_others as refuse_others
    from airflow_provider_seedream.publishing.manifest import MANIFEST_NAME as MANIFEST_NAME
    from airflow_provider_seedream.publishing.manifest import Role as Role
    from airflow_provider_seedream.publishing.manifest import TaskInstanceKey as TaskInstanceKey
    from airflow_provider_seedream.publishing.publish import Published as Published

# publish() itself is not here: its module has the same name, and would take its place once it is imported.
__getattr__, __dir__ = attach(
    __name__,
    {
        "DownloadLimits": "download",
        "FolderTakenError": "errors",
        "ImageError": "errors",
        "MANIFEST_NAME": "manifest",
        "Published": "publish",
        "Role": "manifest",
        "StoreError": "errors",
        "TaskInstanceKey": "manifest",
        "Zone": "addresses",
        "Zones": "addresses",
        "no_zones": "addresses",
        "refuse_others": "folder_lock",
        "zones_of": "addresses",
    },
)
