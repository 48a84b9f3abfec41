"""Makes this box's node one of a fleet's: key first, then the fleet's word, then the folder, whole.

The key is durable before anything is sent, so a join that was cut short is repeated with the same key and token and
gets the same answer. The fleet is believed because the token has the hash of its certificate, and not a word is said
to anybody else.
"""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from cyxcloud.core.certificates import fingerprint
from cyxcloud.core.clock import Clock
from cyxcloud.core.durable import DISK, Disk, make_dirs, write_file
from cyxcloud.core.identity import IdentityDamaged, NodeIdentity
from cyxcloud.core.version import SOFTWARE
from cyxcloud.wire.fleetpeer import first_context
from cyxcloud.wire.joining import (
    AUTHORITY_PATH,
    JOIN_PATH,
    MAX_MESSAGE_BYTES,
    JoinAnswer,
    JoinRequest,
    JoinToken,
    encode_request,
    parse_answer,
    prove,
)
from cyxcloud.wire.status import WireError
from nodefs.fleetfolder import AUTHORITY, CERTIFICATE, FLEET, FleetFile, read_fleet, read_identity, write_certificate
from nodefs.folder import FolderUnusable, read_marker
from nodefs.provision import create_node

_SECONDS = 30.0


class NotJoined(Exception):
    """The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the operator of this box asks for."""

    root: Path
    token: JoinToken
    url: str
    listen: str
    name: str
    capacity_bytes: int
    zone: str = ""
    operator: str = ""
    region: str = ""


# Gives the authority's certificate, which the token's pin is of, and what the fleet answered.
Ask = Callable[[Wish, NodeIdentity, Clock], Awaitable[tuple[bytes, JoinAnswer]]]


async def join(wish: Wish, clock: Clock, disk: Disk = DISK, ask: Ask | None = None) -> JoinAnswer:
    """Raises NotJoined; nothing half-made is left but the key, which the next attempt uses."""
    kept = wish.root.parent / f".{wish.root.name}.joining"
    if wish.root.exists() and any(wish.root.iterdir()):
        answer = await _joined_before(wish, clock, disk, ask or _ask)
        shutil.rmtree(kept, ignore_errors=True)
        return answer
    identity = _identity(kept / "identity", disk)
    authority, answer = await (ask or _ask)(wish, identity, clock)
    if wish.root.exists():
        wish.root.rmdir()
    try:
        create_node(
            wish.root,
            answer.name,
            bytes.fromhex(answer.cluster_id),
            bytes.fromhex(answer.incarnation),
            bytes.fromhex(answer.coordinator_public_key),
            capacity_bytes=wish.capacity_bytes,
            identity=kept / "identity",
            files={
                FLEET: FleetFile(wish.url, wish.listen, wish.token.hash.hex()).encode(),
                str(AUTHORITY): authority,
                str(CERTIFICATE): answer.certificate.encode(),
            },
            disk=disk,
        )
    except (OSError, ValueError) as error:
        raise NotJoined(f"{wish.root} cannot be made: {error}") from error
    shutil.rmtree(kept, ignore_errors=True)
    return answer


async def _joined_before(wish: Wish, clock: Clock, disk: Disk, ask: Ask) -> JoinAnswer:
    """What was answered, where it was this very token that made the node that stands there. A node that was away until
    its certificate had ended gets another; its key and what it holds stay."""
    try:
        marker, fleet = read_marker(wish.root), read_fleet(wish.root)
        identity = NodeIdentity.load(wish.root / "identity")
        shown = read_identity(wish.root, identity)
        has_ended = shown.expires_at_ms <= clock.now_ms()
        certificate = shown.certificate_pem.decode()
    except (FolderUnusable, IdentityDamaged, ValueError) as error:
        raise NotJoined(f"{wish.root} is not empty; give a folder that is, or is not there yet") from error
    if has_ended and fingerprint(shown.authority_pem) == wish.token.pin:
        _, answer = await ask(wish, identity, clock)
        write_file(wish.root / FLEET, FleetFile(wish.url, wish.listen, wish.token.hash.hex()).encode(), disk=disk)
        write_certificate(wish.root, answer.certificate, disk)
        return answer
    if fleet.token != wish.token.hash.hex():
        raise NotJoined(
            f"{wish.root} holds the node {marker.name}, which has joined: cyxcloud node run --root {wish.root}"
        )
    return JoinAnswer(
        cluster_id=marker.cluster_id.hex(),
        incarnation=marker.incarnation.hex(),
        coordinator_public_key=marker.coordinator_public_key.hex(),
        name=marker.name,
        certificate=certificate,
    )


def _identity(folder: Path, disk: Disk) -> NodeIdentity:
    """The key of an attempt before this one, or a new one."""
    try:
        return NodeIdentity.load(folder)
    except IdentityDamaged:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        make_dirs(folder.parent, disk=disk)
        return NodeIdentity.create(folder, disk)
    except OSError as error:
        raise NotJoined(f"{folder} cannot be made: {error.strerror}") from error


async def _ask(wish: Wish, identity: NodeIdentity, clock: Clock) -> tuple[bytes, JoinAnswer]:
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            authority = await _authority(session, wish)
            context = first_context(authority)
            time_ms = clock.now_ms()
            request = JoinRequest(
                secret=wish.token.secret.hex(),
                public_key=identity.public_key.hex(),
                name=wish.name,
                address=wish.listen,
                capacity_bytes=wish.capacity_bytes,
                zone=wish.zone,
                operator=wish.operator,
                region=wish.region,
                version=SOFTWARE,
                time_ms=time_ms,
                proof=prove(identity, wish.token.hash, time_ms).hex(),
            )
            async with session.post(wish.url + JOIN_PATH, data=encode_request(request), ssl=context) as response:
                body = await response.content.read(MAX_MESSAGE_BYTES)
                if response.status != 200:
                    raise NotJoined(f"the fleet refused: {body.decode(errors='replace').strip()}")
                return authority, parse_answer(body)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise NotJoined(
            f"{wish.url} does not answer ({error or 'no answer in time'}); is the fleet's port open?"
        ) from error
    except WireError as error:
        raise NotJoined(f"{wish.url} answers in a way that is not understood: {error}") from error


async def _authority(session: aiohttp.ClientSession, wish: Wish) -> bytes:
    """The fleet's own certificate, from whoever has it: it is the hash in the token that makes it the right one."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    async with session.get(wish.url + AUTHORITY_PATH, ssl=anybody, allow_redirects=False) as response:
        found = await response.content.read(MAX_MESSAGE_BYTES)
    try:
        if fingerprint(found) == wish.token.pin:
            return found
    except ValueError:
        pass
    raise NotJoined(f"{wish.url} is not the fleet that this token is for: nothing was sent to it")
