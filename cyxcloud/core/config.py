"""The only place that reads configuration: DIR/config.toml, CYXCLOUD_... variables and the command line's options.

The later of these wins, field by field; nested fields are reached in the environment by two underscores
(CYXCLOUD_LOG__LEVEL). An unknown or wrong field stops the start with a text that names it and says what to do, because
a setting that is silently ignored is worse than none. Secrets that make the first start repeatable come by environment
only, never from the file.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from cyxcloud.core.settings import (
    AccessLogSettings,
    Address,
    Classes,
    Duration,
    FleetSettings,
    InventorySettings,
    LifecycleSettings,
    LogSettings,
    MoverSettings,
    Names,
    NotificationSettings,
    Profile,
    ReconcileSettings,
    ScrubSettings,
    SnapshotSettings,
    TlsSettings,
)

CONFIG_FILE = "config.toml"
PREFIX = "CYXCLOUD_"
MAX_NODES = 1000  # one box: beyond this the fleet's own registration is the way in
MAX_WORKERS = 256


class ConfigError(Exception):
    """A setting is wrong; the text names the field, where it was read and the remedy."""


class Settings(BaseSettings):
    """Everything that can be set for `cyxcloud up`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
    )

    listen: Address = Field(default="127.0.0.1:9000", description="HOST:PORT of the S3 port; port 0 takes a free one.")
    control: Address = Field(
        default="127.0.0.1:9001", description="HOST:PORT of the operators' listener; port 0 takes a free one."
    )
    region: str = Field(
        default="us-east-1", pattern=r"^[a-z0-9-]{1,32}$", description="The region that requests are signed for."
    )
    domains: Names = Field(default=(), description="Host names under which BUCKET.NAME addresses a bucket.")
    website_domains: Names = Field(
        default=(), description="Host names under which BUCKET.NAME is the website of a bucket."
    )
    tls: TlsSettings = Field(default=TlsSettings(), description="HTTPS on the S3 port.")
    nodes: int | None = Field(
        default=None,
        ge=0,
        le=MAX_NODES,
        description="Local nodes made at the first start; by default as many as the profile needs, 0 for a fleet.",
    )
    profile: Profile | None = Field(
        default=None,
        description="DATA+PARITY shards of a chunk, fixed at the first start; default 10+4 (two disks 4+4, three 8+4).",
    )
    classes: Classes = Field(
        default={},
        description="DATA+PARITY shards of new objects by storage class, like STANDARD_IA = 10+6; others as `profile`.",
    )
    workers: int = Field(
        default=0, ge=0, le=MAX_WORKERS, description="Gateway processes; 0 means one for each processor core."
    )
    node_processes: int = Field(default=1, ge=1, le=MAX_WORKERS, description="Processes that share the local nodes.")
    log: LogSettings = Field(default=LogSettings(), description="Logging.")
    meta_mirror: Path | None = Field(
        default=None,
        description="Folder on another disk for the metadata's mirror, or `none`; by default on the second --data.",
    )
    delete_grace: Duration = Field(
        default=86400.0, description="How long the bytes of what was deleted stay; shorter when space runs out."
    )
    mover: MoverSettings = Field(default=MoverSettings(), description="Repair.")
    snapshot: SnapshotSettings = Field(default=SnapshotSettings(), description="Metadata snapshots.")
    scrub: ScrubSettings = Field(default=ScrubSettings(), description="Scrub.")
    reconcile: ReconcileSettings = Field(default=ReconcileSettings(), description="Reconciliation.")
    lifecycle: LifecycleSettings = Field(default=LifecycleSettings(), description="Lifecycle rules.")
    access_log: AccessLogSettings = Field(default=AccessLogSettings(), description="Access logs.")
    notifications: NotificationSettings = Field(default=NotificationSettings(), description="Notifications.")
    inventory: InventorySettings = Field(default=InventorySettings(), description="Inventories.")
    fleet: FleetSettings = Field(default=FleetSettings(), description="Nodes on other boxes.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Strongest first; no .env file and no folder of secrets, which would be found by accident."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


class FirstStart(BaseSettings):
    """Secrets that replace generated ones, so that scripts and containers start a store whose keys they know."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    root_access_key: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.@-]{3,128}$",
        description="Access key of the root user, instead of a generated one.",
    )
    root_secret_key: SecretStr | None = Field(
        default=None, min_length=8, max_length=128, description="The secret of that key."
    )
    recovery_code: SecretStr | None = Field(
        default=None, description="Recovery code of the keyring, instead of a generated one."
    )

    @model_validator(mode="after")
    def _pair(self) -> FirstStart:
        if (self.root_access_key is None) != (self.root_secret_key is None):
            raise ValueError(f"{PREFIX}ROOT_ACCESS_KEY and {PREFIX}ROOT_SECRET_KEY go together; set both or neither")
        return self


def load(home: Path, options: Mapping[str, Any] | None = None) -> Settings:
    """Settings of the store at `home`; `options` are the command line's, nested like the file, None where not given."""
    path = home / CONFIG_FILE

    class Here(Settings):
        model_config = SettingsConfigDict(toml_file=path)

    try:
        return Here(**_given(options or {}))
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(problem, path) for problem in error.errors(include_input=False))) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}; mend that line") from None


def load_first_start() -> FirstStart:
    try:
        return FirstStart()
    except ValidationError as error:
        problems = error.errors(include_input=False)
        raise ConfigError(
            "\n".join(f"{_variable(p['loc'])}: {_reason(p)}; correct or unset it" for p in problems)
        ) from None


def default_home() -> Path:
    """Where a store lives when no --data says otherwise."""
    if given := os.environ.get(f"{PREFIX}DATA"):
        return Path(given)
    if Path("pyproject.toml").is_file() and Path("cyxcloud").is_dir():
        return Path("data")
    return Path("/var/cyxcloud") if os.geteuid() == 0 else Path.home() / ".local/share/cyxcloud"


def inherited_environment() -> dict[str, str]:
    """What child processes may see: everything but the first start's secrets."""
    secrets = {_variable([name]) for name in FirstStart.model_fields}
    return {name: value for name, value in os.environ.items() if name not in secrets}


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without those that were not given."""
    nested = {name: _given(value) if isinstance(value, Mapping) else value for name, value in options.items()}
    return {name: value for name, value in nested.items() if value not in (None, {}, ())}


def _explain(problem: ErrorDetails, path: Path) -> str:
    """One problem as a sentence: where the value stands, what is wrong, what to do."""
    names = tuple(str(part) for part in problem["loc"] if not isinstance(part, int))
    field = ".".join(names) or "settings"
    if any(name.upper() in os.environ for name in _variables(names)):
        where, remedy = _variable(names), "correct or unset it"
    elif path.is_file() and _stands_in(tomllib.loads(path.read_text("utf-8")), names):
        where, remedy = f"{path}: {field}", "correct the line or remove it to get the default"
    else:
        where, remedy = field, "give another value"
    if problem["type"] == "extra_forbidden":
        return f"{where}: there is no such setting; remove it (known here: {', '.join(_known(names[:-1]))})"
    return f"{where}: {_reason(problem)}; {remedy}"


def _reason(problem: ErrorDetails) -> str:
    return problem["msg"].removeprefix("Value error, ")


def _variable(names: Sequence[str | int]) -> str:
    return PREFIX + "__".join(str(name).upper() for name in names)


def _variables(names: Sequence[str]) -> list[str]:
    """The variables that may have given this field: its own, or one of a field around it."""
    return [_variable(names[:end]) for end in range(1, len(names) + 1)]


def _stands_in(table: Mapping[str, Any], names: Sequence[str]) -> bool:
    return bool(names) and names[0] in table


def _known(parents: Sequence[str]) -> list[str]:
    model: type[BaseModel] = Settings
    for name in parents:
        inner = model.model_fields[name].annotation
        assert isinstance(inner, type), name
        model = inner
    return list(model.model_fields)
