"""Users and their access keys, as changes of one transaction; secrets are sealed under the keyring before that.

Each change bumps the access epoch, by which running gateways learn of it within a second.
"""

from __future__ import annotations

import re
import secrets
import string
from dataclasses import dataclass

from cyxcloud.core.ids import AccountId
from cyxcloud.core.keyring import Keyring
from cyxcloud.meta import accounts, cluster
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import AccountRow, KeyRow

ACCESS_KEY = re.compile(r"[A-Za-z0-9_.@$-]{3,128}")
SECRET_KEY = re.compile(r"[\x21-\x7e]{8,128}")
USER_ID = re.compile(r"[\x21-\x7e]{1,128}")
MAX_TEXT = 256

_LETTERS = string.ascii_letters + string.digits
_ACCESS_LETTERS = string.ascii_uppercase + "234567"


class AccessError(Exception):
    """The change is not possible; the text says why."""


@dataclass(frozen=True, slots=True)
class NewKey:
    access_key: str
    secret_key: str
    description: str = ""

    @classmethod
    def generate(cls, description: str = "") -> NewKey:
        access = "CYX" + "".join(secrets.choice(_ACCESS_LETTERS) for _ in range(17))
        return cls(access, "".join(secrets.choice(_LETTERS) for _ in range(40)), description)

    def check(self) -> None:
        if not ACCESS_KEY.fullmatch(self.access_key):
            raise AccessError("access key: 3 to 128 letters, digits and _ . @ $ -")
        if not SECRET_KEY.fullmatch(self.secret_key):
            raise AccessError("secret key: 8 to 128 printable characters without spaces")


@dataclass(frozen=True, slots=True)
class NewUser:
    user_id: str
    display_name: str
    email: str = ""
    is_root: bool = False

    @classmethod
    def generated_id(cls) -> str:
        """What S3 calls a canonical user id."""
        return secrets.token_hex(32)

    def check(self) -> None:
        if not USER_ID.fullmatch(self.user_id):
            raise AccessError("id: 1 to 128 printable characters without spaces")
        for name, text in (("display name", self.display_name), ("email", self.email)):
            if len(text) > MAX_TEXT or not text.isprintable():
                raise AccessError(f"{name}: at most {MAX_TEXT} printable characters")


def add_user(conn: Connection, user: NewUser, now_ms: int) -> AccountRow:
    user.check()
    number = AccountId(secrets.randbits(62) + 1)
    row = AccountRow(number, user.user_id, user.display_name, user.email, user.is_root, now_ms)
    if not accounts.create(conn, row):
        raise AccessError(f"there is a user {user.user_id} already")
    cluster.bump(conn, Epoch.ACCESS)
    return row


def add_key(conn: Connection, keyring: Keyring, account: AccountRow, key: NewKey, now_ms: int) -> KeyRow:
    key.check()
    sealed = keyring.seal_secret(key.access_key, key.secret_key)
    row = KeyRow(key.access_key, account.id, sealed, enabled=True, created_at_ms=now_ms, description=key.description)
    if not accounts.create_key(conn, row):
        raise AccessError(f"access key {key.access_key} is taken; give another")
    cluster.bump(conn, Epoch.ACCESS)
    return row


def ensure_user(conn: Connection, user: NewUser, now_ms: int) -> AccountRow:
    """The user of that id, made where there is none; names of an existing one stay."""
    return accounts.by_canonical_id(conn, user.user_id) or add_user(conn, user, now_ms)


def ensure_key(conn: Connection, keyring: Keyring, account: AccountRow, key: NewKey, now_ms: int) -> None:
    """The key of that account, enabled and with that secret, whatever was there before."""
    found = accounts.credentials(conn, key.access_key)
    if found is not None:
        row, owner = found
        if owner.id != account.id:
            raise AccessError(f"access key {key.access_key} belongs to user {owner.canonical_id}")
        if row.enabled and keyring.open_secret(row.access_key, row.secret) == key.secret_key:
            return
        accounts.remove_key(conn, key.access_key)
    add_key(conn, keyring, account, key, now_ms)


def enable_key(conn: Connection, access_key: str, *, enabled: bool) -> None:
    if not accounts.enable_key(conn, access_key, enabled=enabled):
        raise AccessError(f"there is no access key {access_key}")
    cluster.bump(conn, Epoch.ACCESS)


def delete_key(conn: Connection, access_key: str) -> None:
    if not accounts.remove_key(conn, access_key):
        raise AccessError(f"there is no access key {access_key}")
    cluster.bump(conn, Epoch.ACCESS)


def find_user(conn: Connection, user_id: str | None) -> AccountRow:
    """The named user, or the root user where none is named."""
    if user_id is None:
        return root_user(conn)
    found = accounts.by_canonical_id(conn, user_id)
    if found is None:
        raise AccessError(f"there is no user {user_id}; `cyxcloud user list` shows all")
    return found


def root_user(conn: Connection) -> AccountRow:
    return next(row for row in accounts.read_all(conn) if row.is_root)


def credentials_file(access_key: str, secret_key: str) -> bytes:
    """In the AWS tools' own format: AWS_SHARED_CREDENTIALS_FILE may point at it."""
    return f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n".encode()
