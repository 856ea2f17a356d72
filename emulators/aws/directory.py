"""What the gate must look up to judge a request: names to ARNs, and the partition keys of tables."""

from __future__ import annotations

import base64
from typing import Any

from moto.kms.models import kms_backends
from moto.kms.utils import KEY_ID_LEN
from moto.secretsmanager.models import secretsmanager_backends


class StackDirectory:
    """What the gate must look up, answered from the resources that were made and from moto's keys."""

    def __init__(self, *, account: str, region: str) -> None:
        self.account, self.region = account, region
        self._hash_keys: dict[tuple[str, str | None], str] = {}

    def learn_tables(self, dynamodb: Any) -> None:
        """Remember each table's and index's partition key, as ``dynamodb`` (a client) describes them."""
        for name in dynamodb.list_tables()["TableNames"]:
            table = dynamodb.describe_table(TableName=name)["Table"]
            schemas = {None: table["KeySchema"]} | {
                index["IndexName"]: index["KeySchema"] for index in table.get("GlobalSecondaryIndexes", [])
            }
            for index, schema in schemas.items():
                self._hash_keys[name, index] = next(k["AttributeName"] for k in schema if k["KeyType"] == "HASH")

    def hash_key(self, table: str, index: str | None) -> str | None:
        return self._hash_keys.get((table, index))

    def key_arn(self, key: str) -> str | None:
        backend = kms_backends[self.account][self.region]
        found = key.rpartition(":key/")[2]
        if "alias/" in key:
            found = next(iter(k for k, body in backend.keys.items() if key[key.index("alias/") :] in body.aliases), "")
        return backend.keys[found].arn if found in backend.keys else None

    def key_aliases(self, arn: str) -> tuple[str, ...]:
        key = kms_backends[self.account][self.region].keys.get(arn.rpartition("/")[2])
        return tuple(sorted(key.aliases)) if key else ()

    def secret_arn(self, secret: str) -> str | None:
        found = secretsmanager_backends[self.account][self.region].secrets.values()
        return next((one.arn for one in found if secret in {one.arn, one.name}), None)

    def sealing_key(self, ciphertext: str) -> str | None:
        try:
            # moto writes the key's id before the ciphertext, as KMS writes its ARN.
            return base64.b64decode(ciphertext)[:KEY_ID_LEN].decode("ascii")
        except ValueError:
            return None
