"""Credentials come from the environment only: one in retailer.yaml itself is refused, unseen."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from siyu.retailer import PostgresConnection, Retailer, RetailerError, read_retailer

LITERAL = "s3cr3t-in-a-file"
CONNECTIONS: dict[str, dict[str, Any]] = {
    "erp": {"type": "postgres", "dsn": "postgresql://reader:${ERP}@db/erp?sslmode=require"},
    "wecom": {"type": "wecom", "corp_id": "ww1", "secret": "${A}", "callback_token": "${B}",
              "callback_key": "${C}"},
    "mall": {"type": "mall", "client_id": "c1", "client_secret": "${D}", "shop_id": "1"},
    "drop": {"type": "objects", "bucket": "b", "access_key": "${E}", "secret_key": "${F}"},
}  # fmt: skip


def shop(folder: Path, connections: dict[str, dict[str, Any]]) -> Retailer:
    said = {
        "name": "shop", "en": "Shop", "zh": "店", "timezone": "Asia/Shanghai", "currency": "CNY",
        "history_from": "2026-01-01", "identifiers": {}, "models": {}, "inputs": {},
        "connections": connections,
    }  # fmt: skip
    folder = folder / "shop"
    folder.mkdir()
    (folder / "retailer.yaml").write_text(yaml.safe_dump(said), "utf-8")
    return read_retailer(folder)


def test_variables_are_kept_as_they_are(tmp_path: Path) -> None:
    said = {
        name: made.model_dump() for name, made in shop(tmp_path, CONNECTIONS).connections.items()
    }
    for name, connection in CONNECTIONS.items():
        assert connection.items() <= said[name].items()


@pytest.mark.parametrize(("connection", "field"), [
    ("wecom", "secret"), ("wecom", "callback_token"), ("wecom", "callback_key"),
    ("mall", "client_secret"), ("drop", "access_key"), ("drop", "secret_key"),
])  # fmt: skip
@pytest.mark.parametrize("value", [LITERAL, LITERAL + "${A}", "$A" + LITERAL])
def test_a_credential_in_the_file_is_refused_by_its_field(
    tmp_path: Path, connection: str, field: str, value: str
) -> None:
    said = {**CONNECTIONS, connection: {**CONNECTIONS[connection], field: value}}
    with pytest.raises(RetailerError) as refused:
        shop(tmp_path, said)
    assert f"connections.{connection}." in str(refused.value)
    assert f".{field}: " in str(refused.value)
    assert "write a variable, such as ${SECRET}" in str(refused.value)
    assert LITERAL not in str(refused.value)


@pytest.mark.parametrize("dsn", [
    f"postgresql://reader:{LITERAL}@db/erp",
    f"postgresql://reader:{LITERAL}@${{DB}}/erp",
    f"postgresql://reader:a/{LITERAL}?x@#@db/erp",
    f"postgresql://reader:${{A}}{LITERAL}@db/erp",
    f"postgresql://reader@db/erp?sslmode=require&password={LITERAL}",
    f"postgresql://reader:${{A}}@db/erp?sslpassword={LITERAL}",
    f"host=db password={LITERAL} dbname=erp",
    f"host=db password = '{LITERAL} of two words'",
])  # fmt: skip
def test_a_password_in_a_dsn_is_refused(tmp_path: Path, dsn: str) -> None:
    with pytest.raises(
        RetailerError, match=r"erp\.postgres\.dsn: .*write the password as"
    ) as refused:
        shop(tmp_path, {"erp": {"type": "postgres", "dsn": dsn}})
    assert LITERAL not in str(refused.value)
    with pytest.raises(ValidationError) as raw:
        PostgresConnection(type="postgres", dsn=dsn)
    assert LITERAL not in str(raw.value)


@pytest.mark.parametrize("dsn", [
    "${ERP_DSN}",
    "postgresql://${USER}:${PASSWORD}@${HOST}:5432/erp?sslmode=verify-full",
    "postgresql://reader@db:5432/erp",
    "postgresql://db/erp?passfile=/run/pgpass&password=${PASSWORD}",
    "host=db password='${PASSWORD}' dbname=erp",
    "postgresql:///erp",
])  # fmt: skip
def test_a_dsn_without_a_password_of_its_own_is_taken(dsn: str) -> None:
    assert PostgresConnection(type="postgres", dsn=dsn).dsn == dsn
