"""Masking of phones and e-mails in text that people typed.

What belongs here: the patterns. What does not: columns that *are* a phone or an e-mail; those
become tokens (``siyu.vault``).
"""

from __future__ import annotations

from siyu.lake import literal

MASK = "▮"

# Wide on purpose: an order number that is masked costs less than a phone that is not.
_PATTERNS = (
    r"[\w.+\-]+@[\w\-]+(?:\.[\w\-]+)+",
    r"(?:\+|\b00)\d[\d \-]{6,16}\d",
    r"1[3-9]\d(?:[ \-]?\d{4}){2}",
    r"0\d{2,3}[ \-]?\d{7,8}",
    r"\(?\d{3}\)?[ .\-]\d{3}[ .\-]\d{4}",
    r"\d{9,}",
)
_WIDE_DIGITS = "０１２３４５６７８９＠＋－"
_DIGITS = "0123456789@+-"


def scrubbed(expression: str) -> str:
    """SQL that masks phones and e-mails in a text expression."""
    folded = f"translate({expression}, {literal(_WIDE_DIGITS)}, {literal(_DIGITS)})"
    return f"regexp_replace({folded}, {literal('|'.join(_PATTERNS))}, {literal(MASK)}, 'g')"
