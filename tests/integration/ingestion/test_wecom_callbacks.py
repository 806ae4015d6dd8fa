"""WeCom's callbacks, posted to the receiver over real HTTP."""

import base64
import gzip
import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import yaml
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from made_up_shop import Shop

from siyu.config import REPO, Settings
from siyu.ingestion.connectors.callbacks import (
    Protocol,
    Receiver,
    callback_app,
    callback_store,
    serve,
    sign,
)
from siyu.ingestion.errors import InputError
from siyu.ingestion.raw import RawStore
from siyu.paths import Paths
from siyu.retailer import Retailer

CORP = "ww1234567890abcdef"
TOKEN = "callback-t0ken"
KEY = base64.b64encode(bytes(range(32))).decode().rstrip("=")
NOW = datetime(2026, 6, 10, 4, tzinfo=UTC)

ADD = """<xml><ToUserName><![CDATA[ww1234567890abcdef]]></ToUserName>
<FromUserName><![CDATA[sys]]></FromUserName><CreateTime>1780977600</CreateTime>
<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[change_external_contact]]></Event>
<ChangeType><![CDATA[add_external_contact]]></ChangeType><UserID><![CDATA[zhangsan]]></UserID>
<ExternalUserID><![CDATA[woAJ2GCAAAXtWyujaWJHDDGi0mAAAA]]></ExternalUserID>
<State><![CDATA[teststate]]></State></xml>"""
CHAT = """<xml><ToUserName><![CDATA[ww1234567890abcdef]]></ToUserName><CreateTime>1780977601</CreateTime>
<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[change_external_chat]]></Event>
<ChatId><![CDATA[wrCHAT]]></ChatId><ChangeType><![CDATA[update]]></ChangeType>
<UpdateDetail><![CDATA[del_member]]></UpdateDetail><QuitScene>1</QuitScene>
<MemChangeCnt>2</MemChangeCnt><MemChangeList><Item><![CDATA[wm1]]></Item><Item><![CDATA[wm2]]></Item>
</MemChangeList></xml>"""
UNKNOWN = """<xml><CreateTime>1780977602</CreateTime><Event>customer_acquisition</Event>
<ChangeType>never_heard_of</ChangeType><LinkId>ca1</LinkId></xml>"""


def encrypted(message: str, corp: str = CORP) -> str:
    """A message as WeCom encrypts it."""
    key = base64.b64decode(f"{KEY}=")
    text = message.encode()
    packed = os.urandom(16) + len(text).to_bytes(4, "big") + text + corp.encode()
    padder = PKCS7(256).padder()
    cipher = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    padded = padder.update(packed) + padder.finalize()
    return base64.b64encode(cipher.update(padded) + cipher.finalize()).decode()


def signed(sealed: str, nonce: str = "nonce", at: datetime = NOW) -> dict[str, str]:
    timestamp = str(int(at.timestamp()))
    signature = sign(TOKEN, timestamp, nonce, sealed)
    return {"msg_signature": signature, "timestamp": timestamp, "nonce": nonce}


def envelope(sealed: str) -> str:
    return f"<xml><ToUserName>{CORP}</ToUserName><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"


class Running:
    """A receiver behind a real socket, whose clock stands at ``now``."""

    def __init__(self, store: RawStore) -> None:
        self.store = store
        self.now = NOW
        self.receiver = Receiver(Protocol(TOKEN, KEY, CORP), store, lambda: self.now)
        listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        app = callback_app(self.receiver, roll_seconds=3600)
        self._server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        self._thread = threading.Thread(target=self._server.run, args=([listening],))

    def __enter__(self) -> "Running":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    def post(self, message: str, **how: Any) -> httpx.Response:
        sealed = encrypted(message)
        return self.send(envelope(sealed), signed(sealed, **how))

    def send(self, body: str, query: Mapping[str, str]) -> httpx.Response:
        return httpx.post(
            f"{self.url}/callbacks", params=dict(query), content=body, trust_env=False
        )

    def get(self, path: str, query: Mapping[str, str] | None = None) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", params=dict(query or {}), trust_env=False)

    def lines(self) -> list[dict[str, Any]]:
        self.receiver.roll()
        return lines(self.store)


def lines(store: RawStore) -> list[dict[str, Any]]:
    found = []
    for file in store.files():
        with store.open(file.path) as opened, gzip.open(opened) as unpacked:
            found += [json.loads(line) for line in unpacked]
    return found


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(Settings.from_env({}), home=tmp_path, retailer="shop")


@pytest.fixture
def store(settings: Settings) -> RawStore:
    return RawStore(Paths.of(settings), "wecom_callbacks")


@pytest.fixture
def running(store: RawStore) -> Iterator[Running]:
    with Running(store) as running:
        yield running


def test_events_of_every_kind_are_kept(running: Running) -> None:
    for number, message in enumerate((ADD, CHAT, UNKNOWN)):
        answer = running.post(message, nonce=str(number))
        assert (answer.status_code, answer.text) == (200, "success")
    add, chat, unknown = running.lines()
    assert add["received_at"] == "2026-06-10T04:00:00+00:00"
    assert add["event"]["ChangeType"] == "add_external_contact"
    assert add["event"]["ExternalUserID"] == "woAJ2GCAAAXtWyujaWJHDDGi0mAAAA"
    assert add["event"]["CreateTime"] == "1780977600"
    assert chat["event"]["MemChangeList"] == {"Item": ["wm1", "wm2"]}
    assert unknown["event"]["ChangeType"] == "never_heard_of"


def test_the_address_is_verified(running: Running) -> None:
    sealed = encrypted("5927782489442352469")
    answer = running.get("/callbacks", {**signed(sealed), "echostr": sealed})
    assert (answer.status_code, answer.text) == (200, "5927782489442352469")
    wrong = running.get(
        "/callbacks", {**signed(sealed, nonce="a"), "nonce": "b", "echostr": sealed}
    )
    assert wrong.status_code == 403


def test_what_is_not_from_wecom_is_refused_and_counted(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    sealed = encrypted(ADD)
    forged = {**signed(sealed), "msg_signature": "0" * 40}
    assert running.send(envelope(sealed), forged).status_code == 403
    other = encrypted(ADD, corp="ww-somebody-else")
    assert running.send(envelope(other), signed(other)).status_code == 403
    noise = base64.b64encode(os.urandom(64)).decode()
    assert running.send(envelope(noise), signed(noise)).status_code == 403
    assert running.send("no xml", signed(sealed)).status_code == 403
    assert running.send(envelope(sealed), {}).status_code == 403
    counts = running.get("/health").json()
    assert counts == {"signature": 2, "receiver": 1, "encryption": 1, "xml": 1}
    assert running.lines() == []
    assert "a callback was refused: signature" in caplog.text
    for private in (TOKEN, KEY, "zhangsan", "woAJ2GCAAAXtWyujaWJHDDGi0mAAAA", sealed[:40]):
        assert private not in caplog.text


def test_the_same_request_again_is_answered_alike_and_kept_once(running: Running) -> None:
    sealed = encrypted(ADD)
    for _ in range(2):
        answer = running.send(envelope(sealed), signed(sealed))
        assert (answer.status_code, answer.text) == (200, "success")
    assert running.receiver.counts == {"accepted": 1, "repeated": 1}
    assert len(running.lines()) == 1


def test_stale_requests_are_refused_and_counted(running: Running) -> None:
    assert running.post(ADD, at=NOW - timedelta(hours=1)).status_code == 403
    assert running.post(ADD, at=NOW + timedelta(hours=1)).status_code == 403
    assert running.receiver.counts == {"replay": 2}
    assert running.lines() == []


def test_an_event_that_wecom_sends_twice_is_told_by_its_id(running: Running) -> None:
    assert running.post(ADD, nonce="1").status_code == 200
    assert running.post(ADD, nonce="2").status_code == 200
    first, second = running.lines()
    assert first["event_id"] == second["event_id"]


def test_a_document_type_is_refused(running: Running) -> None:
    bomb = (
        '<!DOCTYPE xml [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><xml><Encrypt>&b;</Encrypt></xml>'
    )
    assert running.send(bomb, signed("x")).status_code == 403
    assert running.post(bomb).status_code == 403
    assert running.receiver.counts == {"xml": 2}


def test_a_body_of_any_size_is_not_read(running: Running) -> None:
    assert running.send("<xml>" + "a" * (1 << 20), {}).status_code == 413


def test_what_was_acknowledged_survives_a_kill(running: Running, store: RawStore) -> None:
    running.post(ADD, nonce="1")
    journal = store.folder / ".callbacks.journal"
    with journal.open("ab") as opened:
        opened.write(b'\n{"received_at": "2026-06-10T04:00:00+00:00", "signa')  # cut short
    assert b"zhangsan" not in journal.read_bytes()
    # Another process, which finds the journal as the killed one left it.
    again = Receiver(Protocol(TOKEN, KEY, CORP), store, lambda: NOW)
    sealed = encrypted(CHAT)
    again.receive(signed(sealed), envelope(sealed).encode())
    assert again.roll() == 2
    assert not journal.exists()
    assert [line["event"]["Event"] for line in lines(store)] == [
        "change_external_contact", "change_external_chat",
    ]  # fmt: skip


def test_stopping_makes_a_raw_file_of_what_is_waiting(store: RawStore) -> None:
    with Running(store) as running:
        running.post(ADD)
    assert len(lines(store)) == 1


def test_an_event_that_cannot_be_written_is_not_acknowledged(
    running: Running, store: RawStore
) -> None:
    store.folder.mkdir(parents=True)
    (store.folder / ".callbacks.journal").mkdir()
    sealed = encrypted(ADD)
    assert running.send(envelope(sealed), signed(sealed)).status_code == 500
    (store.folder / ".callbacks.journal").rmdir()
    # WeCom sends it again, and that is no replay.
    assert running.send(envelope(sealed), signed(sealed)).status_code == 200
    assert len(running.lines()) == 1


def test_events_under_an_old_key_are_not_thrown_away(store: RawStore) -> None:
    sealed = encrypted(ADD)
    old = Receiver(Protocol(TOKEN, KEY, CORP), store, lambda: NOW)
    old.receive(signed(sealed), envelope(sealed).encode())
    new = Receiver(Protocol("another-token", KEY, CORP), store, lambda: NOW)
    with pytest.raises(InputError, match="run the receiver once more with the old ones"):
        new.roll()
    assert old.roll() == 1


def made(settings: Settings, **inputs: Any) -> Retailer:
    return Retailer.model_validate(
        {
            "name": "shop", "en": "Shop", "zh": "店", "timezone": "Asia/Shanghai",
            "currency": "CNY", "history_from": "2026-01-01", "identifiers": {}, "models": {},
            "connections": {
                "wecom": {"type": "wecom", "corp_id": CORP, "secret": "${WECOM_SECRET}",
                          "callback_token": "${CALLBACK_TOKEN}",
                          "callback_key": "${CALLBACK_KEY}"},
                "erp": {"type": "postgres", "dsn": "postgresql://db/erp"},
            },
            "inputs": {
                name: {"connection": "wecom", "format": "jsonl", "location": location}
                for name, location in inputs.items()
            },
            "folder": settings.home,
        }
    )  # fmt: skip


def test_what_is_missing_to_receive_callbacks_is_said(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    retailer = made(settings, wecom_callbacks="callbacks")
    assert callback_store(settings, retailer, "wecom").folder.name == "wecom_callbacks"
    with pytest.raises(InputError, match="erp is no connection of type wecom"):
        callback_store(settings, retailer, "erp")
    with pytest.raises(InputError, match="add one"):
        callback_store(settings, made(settings, contacts="external_contacts"), "wecom")
    monkeypatch.setenv("WECOM_SECRET", "s")
    monkeypatch.setenv("CALLBACK_KEY", "too short")
    monkeypatch.delenv("CALLBACK_TOKEN", raising=False)
    with pytest.raises(InputError, match="set CALLBACK_TOKEN"):
        serve(settings, retailer, "wecom")
    monkeypatch.setenv("CALLBACK_TOKEN", TOKEN)
    with pytest.raises(InputError, match="43 characters") as raised:
        serve(settings, retailer, "wecom")
    assert "too short" not in str(raised.value)


def test_the_documented_mapping_reads_events(running: Running, shop: Shop) -> None:
    for number, message in enumerate((ADD, ADD, CHAT, UNKNOWN)):
        running.now = NOW + timedelta(seconds=number)
        running.post(message, nonce=str(number))
    text = (REPO / "docs" / "connect-wecom.md").read_text("utf-8")
    settings = yaml.safe_load(text.split("```yaml\n")[1].partition("```")[0])
    sql = text.split("```sql\n")[2].partition("```")[0]
    shop.said["identifiers"] = settings["identifiers"]
    columns = settings["inputs"]["wecom_callbacks"]["columns"]
    shop.input("wecom_callbacks", format="jsonl", location="c.jsonl", columns=columns)
    shop.write("c.jsonl", "".join(f"{json.dumps(line)}\n" for line in running.lines()))
    shop.mapping("interactions", sql)
    manifest = shop.landed("interactions")
    assert (manifest.accepted, manifest.duplicates, manifest.quarantined) == (3, 1, 0)
    known = dict(shop.rows("interactions", "event_name, _known_at"))
    assert known["add_external_contact"] == NOW.replace(tzinfo=None)
    assert {name for (name,) in shop.rows("interactions", "event_name")} == {
        "add_external_contact", "update", "never_heard_of",
    }  # fmt: skip
