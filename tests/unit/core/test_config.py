"""Where a setting comes from, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from cyxcloud.core import config
from cyxcloud.core.config import ConfigError, FirstStart, Settings
from cyxcloud.core.settings import LogSettings, TlsSettings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(config.PREFIX):
            monkeypatch.delenv(name)


def write(home: Path, text: str) -> Path:
    (home / "config.toml").write_text(text)
    return home


def test_defaults_need_no_file(tmp_path: Path) -> None:
    settings = config.load(tmp_path)
    assert (settings.listen, settings.control, settings.region) == ("127.0.0.1:9000", "127.0.0.1:9001", "us-east-1")


def test_later_source_wins_field_by_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = write(tmp_path, 'listen = "0.0.0.0:1"\nregion = "eu-west-1"\nworkers = 7\n[log]\nlevel = "debug"\n')
    monkeypatch.setenv("CYXCLOUD_REGION", "eu-north-1")
    monkeypatch.setenv("CYXCLOUD_LOG__JSON_LINES", "true")
    settings = config.load(home, {"workers": 2, "listen": None, "log": {"level": None}})
    assert (settings.listen, settings.region, settings.workers) == ("0.0.0.0:1", "eu-north-1", 2)
    assert settings.log == LogSettings(level="debug", json_lines=True)


def test_list_is_written_with_commas_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYXCLOUD_DOMAINS", "s3.example.org, s3.local")
    assert config.load(tmp_path).domains == ("s3.example.org", "s3.local")


def test_profiles_of_storage_classes_by_file_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").write_text('[classes]\nGLACIER = "10+6"\nSTANDARD_IA = "2+1"\n')
    monkeypatch.setenv("CYXCLOUD_CLASSES__STANDARD_IA", "4+2")
    assert config.load(tmp_path).classes == {"GLACIER": "10+6", "STANDARD_IA": "4+2"}
    monkeypatch.setenv("CYXCLOUD_CLASSES__STANDARD_IA", "4-2")
    with pytest.raises(ConfigError, match=r"DATA\+PARITY"):
        config.load(tmp_path)


def test_list_in_the_file(tmp_path: Path) -> None:
    assert config.load(write(tmp_path, 'domains = ["s3.example.org"]')).domains == ("s3.example.org",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('listen = "9000"', ["config.toml: listen: must be HOST:PORT", "correct the line or remove it"]),
        ('listen = "host:99999"', ["listen: must be HOST:PORT"]),
        ('lisen = "127.0.0.1:9000"', ["lisen: there is no such setting", "listen"]),
        ('[log]\nlvl = "info"', ["log.lvl: there is no such setting", "level", "json_lines"]),
        ('[log]\nlevel = "loud"', ["log.level", "'debug'"]),
        ('profile = "ten"', ["profile: must be DATA+PARITY"]),
        ('profile = "30+4"', ["profile", "at most 32"]),
        ("nodes = -1", ["nodes", "greater than or equal to 0"]),
        ('[tls]\ncert = "a.pem"', ["tls: cert and key go together"]),
        ("listen = ", ["not valid TOML", "mend that line"]),
    ],
)
def test_wrong_field_names_itself_and_the_remedy(tmp_path: Path, text: str, said: list[str]) -> None:
    with pytest.raises(ConfigError) as failure:
        config.load(write(tmp_path, text))
    for piece in said:
        assert piece in str(failure.value)


def test_every_wrong_field_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as failure:
        config.load(write(tmp_path, 'listen = "x"\nregion = "Not A Region"'))
    assert len(str(failure.value).splitlines()) == 2


def test_wrong_variable_is_named_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYXCLOUD_LOG__LEVEL", "loud")
    with pytest.raises(ConfigError, match=r"^CYXCLOUD_LOG__LEVEL: .* correct or unset it$"):
        config.load(tmp_path)


def test_wrong_option_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^listen: must be HOST:PORT"):
        config.load(tmp_path, {"listen": "nowhere"})


def test_root_key_needs_both_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    assert config.load_first_start() == FirstStart()
    monkeypatch.setenv("CYXCLOUD_ROOT_ACCESS_KEY", "AKIDEXAMPLE")
    with pytest.raises(ConfigError, match="ROOT_SECRET_KEY"):
        config.load_first_start()
    monkeypatch.setenv("CYXCLOUD_ROOT_SECRET_KEY", "a-secret-of-tests")
    given = config.load_first_start()
    assert given.root_secret_key is not None
    assert given.root_secret_key.get_secret_value() == "a-secret-of-tests"


def test_wrong_secret_is_never_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYXCLOUD_ROOT_ACCESS_KEY", "AKIDEXAMPLE")
    monkeypatch.setenv("CYXCLOUD_ROOT_SECRET_KEY", "sh0rt")
    with pytest.raises(ConfigError, match="CYXCLOUD_ROOT_SECRET_KEY") as failure:
        config.load_first_start()
    assert "sh0rt" not in str(failure.value)


def test_default_home_is_the_variable_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CYXCLOUD_DATA", str(tmp_path))
    assert config.default_home() == tmp_path


def test_default_home_in_a_clone_and_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/me")
    assert config.default_home() == Path("/home/me/.local/share/cyxcloud")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert config.default_home() == Path("/var/cyxcloud")
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "cyxcloud").mkdir()
    assert config.default_home() == Path("data")


@pytest.mark.parametrize("model", [Settings, FirstStart, TlsSettings, LogSettings])
def test_every_field_is_documented(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        nested = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        assert field.description, name
        assert nested or field.description.endswith("."), name


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("10m", 600), ("1.5h", 5400), ("30d", 2592000), ("2s", 2)])
def test_durations_are_written_with_units(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, seconds: float
) -> None:
    monkeypatch.setenv("CYXCLOUD_MOVER__GRACE", text)
    assert config.load(tmp_path).mover.grace == seconds


def test_duration_that_is_none_is_refused_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYXCLOUD_DELETE_GRACE", "soon")
    with pytest.raises(ConfigError, match=r"CYXCLOUD_DELETE_GRACE: must be seconds or a number with s, m, h or d"):
        config.load(tmp_path)


def test_fleet_times_left_out_shorten_with_the_one_that_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert config.load(tmp_path).fleet.heartbeat == 30.0
    monkeypatch.setenv("CYXCLOUD_FLEET__OFFLINE_AFTER", "5s")
    fleet = config.load(tmp_path).fleet
    assert (fleet.heartbeat, fleet.warning_after, fleet.offline_after) == (0.5, 1.0, 5.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('offline_after = "30s"\nwarning_after = "40s"', "must grow in this order"),
        ('offline_after = "soon"', "fleet.offline_after: must be seconds"),
        ('listen = "9100"', "fleet.listen: must be HOST:PORT"),
        ('least_version = "new"', "fleet.least_version: must be numbers"),
        ('least_version_from = "31.1.2027"', "fleet.least_version_from: must be a date"),
    ],
)
def test_wrong_fleet_setting_says_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config.load(write(tmp_path, f"[fleet]\n{text}"))
