"""What the metadata server of each cloud says about this machine.

| cloud | asked | notice |
|---|---|---|
| aws | latest/meta-data/spot/instance-action, with an IMDSv2 token | 120 s; a rebalance recommendation is none |
| gcp | computeMetadata/v1/instance/preempted, answered when it changes | 30 s |
| azure | metadata/scheduledevents: a Preempt that names this machine | 30 s |
"""

import email.utils
import http.client
import json
import math
import urllib.parse
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

GCP_NOTICE_S = 30.0
LONGEST_S = 120.0  # no notice is longer: a machine whose clock is wrong names no absurd deadline
MOST_BYTES = 1 << 20


class NoAnswer(Exception):
    """The metadata server cannot be reached, or says what is not understood."""


class Answer(NamedTuple):
    """What the server said."""

    status: int
    etag: str
    text: str

    def or_error(self) -> str:
        """Return the text of a good answer; otherwise raise NoAnswer."""
        if self.status != 200:
            raise NoAnswer(f"HTTP {self.status}")
        return self.text


class Server:
    """A metadata server, given as HOST or HOST:PORT.

    Environment variables that name a proxy are not heeded: it answers to this machine alone.
    """

    def __init__(self, host: str, every_s: float) -> None:
        self.every_s = every_s
        self._host = host

    def ask(
        self, path: str, headers: dict[str, str], method: str = "GET", held_s: float = 0.0
    ) -> Answer:
        """Ask one question. held_s: for how long the server is asked to hold its answer back. Raises NoAnswer."""
        connection = http.client.HTTPConnection(self._host, timeout=self.every_s + held_s)
        try:
            connection.request(method, path, headers=headers)
            said = connection.getresponse()
            text = said.read(MOST_BYTES).decode(errors="replace")
            return Answer(said.status, said.getheader("ETag", ""), text)
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(str(error) or type(error).__name__) from error
        finally:
            connection.close()


class Cloud(Protocol):
    """A cloud, as one of its machines sees it."""

    def seconds_left(self) -> float | None:
        """Return the seconds until this machine goes; None without a notice. Raises NoAnswer."""


class Aws:
    """Amazon EC2: 404 until there is a notice."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._token = ""

    def seconds_left(self) -> float | None:
        """See Cloud."""
        answer = self._action()
        if answer.status == 401:  # the token has run out
            self._token = ""
            answer = self._action()
        if answer.status == 404:
            return None
        when = _field(_object(answer.or_error()), "time")
        try:
            return _until(datetime.fromisoformat(when))
        except ValueError as error:
            raise NoAnswer(f"a notice with the time {when!r}") from error

    def _action(self) -> Answer:
        if not self._token:
            lives = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
            self._token = self._server.ask("/latest/api/token", lives, "PUT").or_error()
        token = {"X-aws-ec2-metadata-token": self._token}
        return self._server.ask("/latest/meta-data/spot/instance-action", token)


class Gcp:
    """Google Compute Engine: TRUE or FALSE. The server holds its answer back until it differs from the last one."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._etag = ""

    def seconds_left(self) -> float | None:
        """See Cloud."""
        path, held = "/computeMetadata/v1/instance/preempted", 0
        if self._etag:
            held = math.ceil(self._server.every_s)
            path += f"?wait_for_change=true&timeout_sec={held}&last_etag={self._etag}"
        answer = self._server.ask(path, {"Metadata-Flavor": "Google"}, held_s=held)
        is_notice = answer.or_error().strip() == "TRUE"
        self._etag = urllib.parse.quote(answer.etag)
        return GCP_NOTICE_S if is_notice else None


class Azure:
    """Azure: a list of events, also of other machines of the same set. Its first answer may take two minutes."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._name = ""

    def seconds_left(self) -> float | None:
        """See Cloud."""
        if not self._name:
            self._name = self._ask("instance/compute/name?api-version=2021-02-01&format=text")
        found = _object(self._ask("scheduledevents?api-version=2020-07-01"))
        for event in _objects(found, "Events"):
            if event.get("EventType") == "Preempt" and self._is_named(event):
                return self._left(_field(event, "NotBefore"))
        return None

    def _ask(self, path: str) -> str:
        return self._server.ask(f"/metadata/{path}", {"Metadata": "true"}).or_error()

    def _is_named(self, event: dict[str, Any]) -> bool:
        names = (str(name).casefold() for name in event.get("Resources") or [])
        return self._name.casefold() in names

    def _left(self, when: str) -> float:
        if not when:  # it has begun
            return 0.0
        try:
            return _until(email.utils.parsedate_to_datetime(when))
        except ValueError as error:
            raise NoAnswer(f"a notice with the time {when!r}") from error


def cloud_of(name: str, server: Server) -> Cloud:
    """Return the cloud `aws`, `gcp` or `azure`."""
    if name == "aws":
        return Aws(server)
    return Gcp(server) if name == "gcp" else Azure(server)


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise NoAnswer(f"{text[:80]!r} for JSON") from error
    if not isinstance(found, dict):
        raise NoAnswer(f"{text[:80]!r} for an object")
    return found


def _objects(found: dict[str, Any], key: str) -> list[dict[str, Any]]:
    objects = found.get(key)
    if not isinstance(objects, list) or not all(isinstance(one, dict) for one in objects):
        raise NoAnswer(f"no list of {key} in {str(found)[:80]}")
    return objects


def _field(found: dict[str, Any], key: str) -> str:
    if key not in found:
        raise NoAnswer(f"no {key} in {str(found)[:80]}")
    return str(found[key])


def _until(when: datetime) -> float:
    """Return the seconds until a time; clouds that name no zone mean UTC."""
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return min(LONGEST_S, max(0.0, (when - datetime.now(UTC)).total_seconds()))
