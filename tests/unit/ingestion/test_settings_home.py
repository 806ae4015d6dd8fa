"""A home folder that libraries would take for another one is refused before anything is written."""

import pytest

from siyu.config import Settings, SettingsError


@pytest.mark.parametrize(
    "name", ["a#1", "a?b", "a[1]", "{a}", "a|b", "a^b", "a%20b", "a\\b", "a\tb"]
)
def test_a_home_that_would_be_misread_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=r"SIYU_HOME is .* use another folder"):
        Settings.from_env({"SIYU_HOME": f"/srv/{name}"})


@pytest.mark.parametrize("name", ["新 店", "50% off", "a'b", "a+b&c=d"])
def test_other_awkward_homes_are_taken(name: str) -> None:
    assert Settings.from_env({"SIYU_HOME": f"/srv/{name}"}).home.name == name
