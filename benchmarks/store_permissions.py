"""What a publish says where one permission is missing: IAM policies on moto's server, signatures on Azurite.

``python -m benchmarks.store_permissions``, after :mod:`benchmarks.stores`, by ``make stores``.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from benchmarks.stores import AZURITE_KEY, BUCKET, S3_KEYS, SERVERS, image_set, images, started

ACTIONS = {
    "list": ("s3:ListBucket", f"arn:aws:s3:::{BUCKET}"),
    "read": ("s3:GetObject", f"arn:aws:s3:::{BUCKET}/*"),
    "write": ("s3:PutObject", f"arn:aws:s3:::{BUCKET}/*"),
    "delete": ("s3:DeleteObject", f"arn:aws:s3:::{BUCKET}/*"),
}
LETTERS = {"nothing": "rcwdl", "list": "rcwd", "read": "cwdl", "write": "rcdl", "delete": "rcwl"}


def main() -> None:
    """Publish once for each permission that is left out, and print what came of it."""
    with tempfile.TemporaryDirectory(prefix="stores-") as home:
        for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
            del os.environ[name]  # another Airflow's database and connections
        os.environ |= {"AIRFLOW_HOME": home, "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
        for name, clients in (("moto", _users), ("azurite", _signatures)):
            with started(SERVERS[name], Path(home, name)) as root:
                for without, fs in clients(root):
                    print(
                        f"{SERVERS[name].name} without {without}: {_publish(SERVERS[name].protocol, without, fs)}",
                        flush=True,
                    )


def _publish(protocol: str, without: str, fs: Any) -> str:
    from airflow.sdk import ObjectStoragePath
    from airflow.sdk.io import attach

    from airflow_provider_seedream.publishing.publish import publish
    from airflow_provider_seedream.wavespeed.errors import WaveSpeedError

    attach(protocol, without, fs=fs)
    folder = ObjectStoragePath(f"{protocol}://{BUCKET}/without-{without}", conn_id=without)
    try:
        publish(image_set("p1", 2), folder, sources=images("JPEG", "WEBP"), check_size=False)
    except WaveSpeedError as error:
        return str(error)
    return f"published {', '.join(sorted(each['name'].rpartition('/')[2] for each in fs.ls(folder.path, detail=True)))}"


def _users(root: Any) -> Iterator[tuple[str, Any]]:
    import boto3
    from s3fs import S3FileSystem

    url = root.endpoint_url
    iam = boto3.client("iam", endpoint_url=url, **S3_KEYS)
    keys = {}
    for without in ("nothing", *ACTIONS):
        iam.create_user(UserName=without)
        allowed = [pair for name, pair in ACTIONS.items() if name != without]
        policy = [{"Effect": "Allow", "Action": action, "Resource": where} for action, where in allowed]
        document = json.dumps({"Version": "2012-10-17", "Statement": policy})
        iam.put_user_policy(UserName=without, PolicyName="p", PolicyDocument=document)
        keys[without] = iam.create_access_key(UserName=without)["AccessKey"]
    requests.post(
        f"{url}/moto-api/reset-auth", data=b"0", timeout=5
    ).raise_for_status()  # policies count from here on
    for without, key in keys.items():
        known = {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
        yield (
            without,
            S3FileSystem(**known, endpoint_url=url, client_kwargs={"region_name": S3_KEYS["region_name"]}),
        )


def _signatures(root: Any) -> Iterator[tuple[str, Any]]:
    from adlfs import AzureBlobFileSystem
    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    endpoint = next(each for each in root.connection_string.split(";") if each.startswith("BlobEndpoint="))
    for without, letters in LETTERS.items():
        signature = generate_container_sas(
            "devstoreaccount1",
            BUCKET,
            account_key=AZURITE_KEY,
            permission=ContainerSasPermissions.from_string(letters),
            expiry=dt.datetime.now(dt.UTC) + dt.timedelta(hours=1),
        )
        yield without, AzureBlobFileSystem(connection_string=f"{endpoint};SharedAccessSignature={signature}")


if __name__ == "__main__":
    main()
