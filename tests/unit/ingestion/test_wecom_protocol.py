"""WeCom's encryption and its XML, against the vector that its own libraries are tested with."""

import base64
import os

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from hypothesis import given
from hypothesis import strategies as st

from siyu.ingestion.connectors.callbacks import (
    CallbackRefused,
    Protocol,
    Sealed,
    parse_xml,
    sign,
)
from siyu.ingestion.errors import InputError

TOKEN = "QDG6eK"
KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
CORP = "wx5823bf96d3bd56c7"
ECHO = Sealed(
    "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3",
    "1409659589",
    "263014780",
    "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ==",
)
PROTOCOL = Protocol(TOKEN, KEY, CORP)


def test_wecoms_own_sample_opens() -> None:
    assert PROTOCOL.open(ECHO) == b"1616140317555161061"


@pytest.mark.parametrize(
    ("token", "corp", "reason"), [("other", CORP, "signature"), (TOKEN, "other", "receiver")]
)
def test_a_message_for_somebody_else_does_not_open(token: str, corp: str, reason: str) -> None:
    with pytest.raises(CallbackRefused, match=reason):
        Protocol(token, KEY, corp).open(ECHO)


@given(st.binary(max_size=200))
def test_noise_under_a_good_signature_is_refused(noise: bytes) -> None:
    encrypted = base64.b64encode(noise).decode()
    sealed = Sealed(sign(TOKEN, "1", "2", encrypted), "1", "2", encrypted)
    with pytest.raises(CallbackRefused, match=r"encryption|receiver"):
        PROTOCOL.open(sealed)


@given(st.text(max_size=200))
def test_any_message_comes_through(message: str) -> None:
    key = base64.b64decode(f"{KEY}=")
    text = message.encode("utf-8", "replace")
    packed = os.urandom(16) + len(text).to_bytes(4, "big") + text + CORP.encode()
    padder = PKCS7(256).padder()
    cipher = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    padded = padder.update(packed) + padder.finalize()
    encrypted = base64.b64encode(cipher.update(padded) + cipher.finalize()).decode()
    sealed = Sealed(sign(TOKEN, "1", "2", encrypted), "1", "2", encrypted)
    assert PROTOCOL.open(sealed) == text


@pytest.mark.parametrize("key", ["", "short", KEY + "A", "-" * 43])
def test_a_key_that_is_none_is_said_and_not_shown(key: str) -> None:
    with pytest.raises(InputError, match="43 characters") as raised:
        Protocol(TOKEN, key, CORP)
    assert not key or key not in str(raised.value)


def test_elements_nest_and_repeat() -> None:
    text = "<xml>\n <A><![CDATA[一 & 二]]></A><B/><L><I>1</I><I>2</I><I>3</I></L></xml>"
    assert parse_xml(text.encode()) == {"A": "一 & 二", "B": "", "L": {"I": ["1", "2", "3"]}}


@pytest.mark.parametrize(
    "text",
    [
        "", "<xml>", "<xml>only text</xml>", "<a/><b/>", "<xml><a>&b;</a></xml>",
        '<!DOCTYPE xml SYSTEM "file:///etc/passwd"><xml><a/></xml>',
        '<!DOCTYPE xml [<!ENTITY b SYSTEM "file:///etc/passwd">]><xml><a>&b;</a></xml>',
        "<a>" * 40 + "</a>" * 40,
        '<?xml version="1.0" encoding="gbk"?><xml><a>1</a></xml>',
        '<?xml version="1.0" encoding="no-such"?><xml><a>1</a></xml>',
    ],
)  # fmt: skip
def test_what_is_no_plain_document_is_refused(text: str) -> None:
    with pytest.raises(CallbackRefused, match="xml"):
        parse_xml(text.encode())


@given(st.binary(max_size=100))
def test_no_bytes_make_the_parser_fail_otherwise(text: bytes) -> None:
    try:
        parse_xml(b"<xml><a>" + text + b"</a></xml>")
    except CallbackRefused as refused:
        assert str(refused) == "xml"
