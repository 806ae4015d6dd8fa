"""What the HTTP client reads into headers, and what it lets into a log."""

import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from siyu.ingestion.connectors.http import HttpClient, _retry_after
from siyu.ingestion.pull import SourceError


@pytest.mark.parametrize(
    ("said", "seconds"), [(None, 0), ("", 0), ("17", 17), (" 17 ", 17), ("soon", 0), ("-3", 0)]
)
def test_retry_after_in_seconds(said: str | None, seconds: float) -> None:
    assert _retry_after(said) == seconds


def test_retry_after_as_a_date() -> None:
    later = datetime.now(UTC) + timedelta(seconds=90)
    assert 80 < _retry_after(format_datetime(later, usegmt=True)) <= 90
    assert _retry_after(format_datetime(later - timedelta(hours=1), usegmt=True)) == 0


@pytest.mark.parametrize("url", ["http://api.example.com", "ftp://127.0.0.1.example.com", "api"])
def test_credentials_are_only_sent_encrypted(url: str) -> None:
    with pytest.raises(SourceError, match="https"):
        HttpClient(url, 1)


@pytest.mark.parametrize("url", ["https://api.example.com", "http://127.0.0.1:8", "http://[::1]"])
def test_this_machine_may_be_asked_in_clear(url: str) -> None:
    with HttpClient(url, 1):
        pass


def test_addresses_are_logged_without_their_query(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "httpx")
    with HttpClient("https://api.example.com", 1):
        address = httpx.URL("https://api.example.com/a/b?access_token=t0ken")
        logging.getLogger("httpx").info("HTTP Request: %s %s", "GET", address)
    assert caplog.messages == ["HTTP Request: GET https://api.example.com/a/b"]
