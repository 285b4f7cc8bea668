"""Signing in: who gets in, who does not, for how long, and what the answers tell."""

import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Access, Settings, SettingsError, Web
from pacs.auth import passwords, throttle
from pacs.auth.origins import local_path
from pacs.bind import check_exposure
from tests.accounts import PASSWORD, add_user, lose_sessions, sign_in, sql, users, visitor
from tests.command import wait_until
from tests.conftest import Server, StartServer, start
from tests.protocol.web import stow
from tests.samples import sample
from tests.servers import postgresql_url

WRONG = "The name or the password is not right."
HOUR_MS = 3_600_000
ADDRESSES = itertools.count(1)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose users are anna, and tom of another tenant; clients say their address as behind a proxy."""
    running = start(tmp_path_factory.mktemp("house"), access={"sign_in": "required"}, web={"proxies": ["127.0.0.1/32"]})
    add_user(running, "Anna")
    add_user(running, "tom", "--tenant", "elsewhere")
    yield running
    running.stop()


@pytest.fixture
def client(house: Server) -> Iterator[httpx.Client]:
    """A browser at an address of its own, so that tests do not spend each other's attempts."""
    with visitor(house, **{"X-Forwarded-For": f"203.0.113.{next(ADDRESSES)}"}) as made:
        yield made


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_signed_in_and_out(house: Server, client: httpx.Client) -> None:
    assert client.get("/dicomweb/studies").status_code == 401
    assert client.get("/api/session").json() == {"sign_in": "required", "user": None, "idle_seconds": 900}
    answer = sign_in(client, " ANNA ")
    assert (answer.status_code, answer.json()) == (200, {"user": "anna"})
    assert re.fullmatch(r"sid=[\w-]{43}; Path=/; HttpOnly; SameSite=Lax", answer.headers["set-cookie"])
    assert answer.headers["cache-control"] == "no-store"
    assert client.get("/dicomweb/studies").status_code == 200
    assert client.get("/api/session").json()["user"] == "anna"
    token = client.cookies["sid"]
    gone = client.delete("/api/session")
    assert gone.status_code == 204 and gone.headers["clear-site-data"] == '"cache"'
    assert "sid" not in client.cookies
    assert client.get("/dicomweb/studies", headers={"Cookie": f"sid={token}"}).status_code == 401
    trail = [event for event in house.audit() if event["event"] == "User Authentication"]
    address = client.headers["x-forwarded-for"]
    mine = [(one["principal"], one["detail"], one["outcome"]) for one in trail if one["address"] == address]
    assert mine == [("anna", "signed in", "success"), ("anna", "signed out", "success")]
    assert token not in house.log() + str(trail)


def test_what_the_database_holds_opens_nothing(house: Server, client: httpx.Client) -> None:
    sign_in(client, "anna")
    digests = [row[0] for row in sql(house, "SELECT digest FROM sessions")]
    kept = sql(house, "SELECT password_hash FROM users")
    assert all(len(digest) == 32 and client.cookies["sid"].encode() not in digest for digest in digests)
    assert all(row[0].startswith("$argon2id$v=19$m=65536,t=3,p=4$") for row in kept)
    for digest in digests:
        assert client.get("/api/session", headers={"Cookie": f"sid={digest.hex()}"}).json()["user"] is None


def test_a_session_begins_with_a_new_identifier(client: httpx.Client) -> None:
    """An identifier that somebody has planted in a browser is nobody's afterwards, too."""
    client.cookies.set("sid", "planted", domain="127.0.0.1", path="/")
    sign_in(client, "anna")
    first = client.cookies["sid"]
    sign_in(client, "anna")
    second = client.cookies["sid"]
    assert len({"planted", first, second}) == 3
    for token, known in (("planted", None), (first, None), (second, "anna")):
        assert httpx.get(
            client.base_url.join("/api/session"), headers={"Cookie": f"a=b; sid={token}; c=d"}
        ).json()["user"] == known  # fmt: skip


def cpu_ticks(server: Server) -> int:
    """Clock ticks that the server's processes have spent computing."""
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in server.children()]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats)


def test_nobody_learns_who_has_an_account(house: Server, client: httpx.Client) -> None:
    answers, costs = [], []
    sign_in(client, "warm-up", "x")
    for name in ("anna", "nobody"):
        before = cpu_ticks(house)
        answers += [sign_in(client, name, f"wrong password {number}") for number in range(3)]
        costs.append(cpu_ticks(house) - before)
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.text for answer in answers} == {f'{{"error":{{"status":401,"message":"{WRONG}"}}}}'}
    assert len({tuple(answer.headers.keys()) for answer in answers}) == 1
    assert min(costs) > max(costs) / 3
    mine = [one for one in house.audit() if one.get("address") == client.headers["x-forwarded-for"]]
    assert [one.get("principal") for one in mine] == [None, *["anna"] * 3, *[None] * 3]
    assert "nobody" not in str(mine), "what was typed may be a password"
    sign_in(client, "anna")


def test_patience_ends(client: httpx.Client) -> None:
    """Five failures are free; whoever waits is let in again, and nothing tells whether the name is somebody's."""
    for name in ("tom", "nobody-2"):
        for _ in range(5):
            assert sign_in(client, name, "wrong").status_code == 401
        refused = sign_in(client, name)
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 5
        assert "too many attempts" in refused.json()["error"]["message"]


def test_patience_with_an_address_ends(house: Server, client: httpx.Client) -> None:
    for number in range(3):
        assert sign_in(client, f"guess-{number}").status_code == 401
    subject = sql(house, "SELECT subject, count(*) FROM sign_in_attempts GROUP BY subject HAVING count(*) = 3")[0][0]
    for _ in range(17):
        sql(house, "INSERT INTO sign_in_attempts (subject, at_ms) VALUES (:whose, :now)", whose=subject, now=now_ms())
    assert sign_in(client, "guess-20").status_code == 429
    assert sign_in(client, "anna").status_code == 429
    with visitor(house, **{"X-Forwarded-For": f"{client.headers['x-forwarded-for']}, 198.51.100.7"}) as elsewhere:
        assert sign_in(elsewhere, "anna").status_code == 200, "the last proxy's word counts"


def test_how_long_the_waits_are() -> None:
    waits = [throttle.wait(((count, 1000), (0, 0)), 1000) // 1000 for count in range(3, 12)]
    assert waits == [-1, -1, 5, 15, 45, 135, 405, 900, 900]
    assert throttle.wait(((0, 0), (20, 1000)), 1000) == 5000
    assert throttle.wait(((5, 1000), (0, 0)), 6000) == 0


def test_pages_lead_to_the_sign_in_and_the_rest_says_401(client: httpx.Client) -> None:
    for path in ("/", "/viewer/viewer?StudyInstanceUIDs=1.2.3&a=%26b", "/viewer/"):
        answer = client.get(path)
        assert answer.status_code == 302
        target = urlsplit(answer.headers["location"])
        assert (target.scheme, target.netloc, target.path) == ("", "", "/login")
        assert parse_qs(target.query) == {"next": [path]}
    for path in ("/dicomweb/studies", "/api/changes", "/api/uploads", "/server.json", "/app-config.js", "/nothing"):
        answer = client.get(path, headers={"Accept": "text/html"})
        assert answer.status_code == 401
        assert answer.json() == {"error": {"status": 401, "message": "Log in first."}}
    page = client.get("/login")
    assert page.status_code == 200 and 'autocomplete="current-password"' in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    sign_in(client, "anna")
    for wanted, leads_to in (("/viewer/?a=b", "/viewer/?a=b"), ("https://evil.example/", "/"), ("//evil.example", "/")):
        assert client.get("/login", params={"next": wanted}).headers["location"] == leads_to
    assert client.get("/login?embedded=1").status_code == 200


@pytest.mark.parametrize(
    "wanted",
    ["https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)",
     "/\t/evil.example", "///evil.example", "/\n/evil.example", "evil.example", "", " /x"],
)  # fmt: skip
def test_a_form_leads_nowhere_else(client: httpx.Client, wanted: str) -> None:
    assert local_path(wanted) == "/"


@given(st.text(max_size=40) | st.from_regex(r"[/\\]{0,3}[a-z@:.]{0,10}[/\\\s]{0,3}\w*", fullmatch=True))
def test_every_way_back_is_our_own(wanted: str) -> None:
    path = local_path(wanted)
    # Browsers drop tabs and line ends, and take a backslash for a slash (WHATWG URL 4.4).
    seen = re.sub(r"[\t\r\n]", "", path).replace("\\", "/")
    assert urlsplit(urljoin("http://pacs.example", seen)).netloc == "pacs.example"
    assert path == wanted or path == "/"


def test_a_form_without_scripts(client: httpx.Client) -> None:
    fields = {"name": "anna", "password": PASSWORD, "next": "/viewer/"}
    answer = client.post("/api/session", data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/viewer/")
    answer = client.post("/api/session", data=fields | {"next": "//evil.example"})
    assert answer.headers["location"] == "/"


def test_other_sites_get_nothing_done(house: Server) -> None:
    own, name = house.web_url, {"name": "anna", "password": PASSWORD}
    with httpx.Client(base_url=own) as client:
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
            assert client.post("/api/session", json=name, headers=headers).status_code == 403
        assert client.post("/api/session", json=name).status_code == 200, "a program that is no browser"
        for headers, status in (
            ({}, 403),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": own.replace("http", "https", 1).replace(":", ":1")}, 403),
            ({"Origin": own, "Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "none"}, 403),
            ({"Origin": own}, 200),
            ({"Sec-Fetch-Site": "same-origin"}, 200),
        ):
            answer = stow(
                client, sample("ct_head_phantom_54/I100.dcm").read_bytes(), path="/dicomweb/studies", **headers
            )
            assert answer.status_code == status, headers
        assert client.delete("/api/session").status_code == 403
        assert client.get("/api/session").json()["user"] == "anna"


def test_only_the_cookie_counts(client: httpx.Client) -> None:
    sign_in(client, "anna")
    token = client.cookies["sid"]
    assert client.get("/dicomweb/studies").status_code == 200
    for value in (f"Bearer {token}", "Bearer x", "Basic YW5uYTpjb3JyZWN0"):
        assert client.get("/dicomweb/studies", headers={"Authorization": value}).status_code == 401
    client.cookies.clear()
    for path in (f"/dicomweb/studies?token={token}", f"/dicomweb/studies?sid={token}"):
        assert client.get(path).status_code == 401
    for cookie in (f"__Host-sid={token}", f"xsid={token}", "sid=", "sid", f"sid={token}x"):
        assert client.get("/dicomweb/studies", headers={"Cookie": cookie}).status_code == 401


def test_bad_requests(client: httpx.Client) -> None:
    for body, kind, status in (
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"name": "anna"}', "application/json", 400),
        (b'{"name": "anna", "password": 1}', "application/json", 400),
        (b"\xff=%zz", "application/x-www-form-urlencoded", 400),
        (b"{}", "text/plain", 415),
        (b'{"name": "' + b"x" * 9000 + b'"}', "application/json", 413),
        (b'{"name": "anna", "password": "' + b"x" * 4000 + b'"}', "application/json", 401),
        (b'{"name": "\\ud800", "password": ""}', "application/json", 400),
        (b'{"name": "a\\u0000", "password": "\\u0000"}', "application/json", 401),
    ):
        answer = client.post("/api/session", content=body, headers={"Content-Type": kind})
        assert answer.status_code == status, body[:40]
        assert answer.json()["error"]["status"] == status
    assert client.put("/api/session").status_code == 405


def test_tenants_do_not_see_each_other(house: Server, client: httpx.Client) -> None:
    sign_in(client, "anna")
    stow(client, sample("ct_head_phantom_54/I100.dcm").read_bytes(), path="/dicomweb/studies")
    found = client.get("/dicomweb/studies").json()
    assert found
    with visitor(house, **{"X-Forwarded-For": "198.51.100.20"}) as other:
        sql(house, "DELETE FROM sign_in_attempts")
        assert sign_in(other, "tom").status_code == 200
        assert other.get("/dicomweb/studies").json() == []
        assert other.get(f"/dicomweb/studies/{found[0]['0020000D']['Value'][0]}/metadata").status_code == 404


def test_a_session_ends(house: Server, client: httpx.Client) -> None:
    for change in ("seen_at_ms = seen_at_ms - 901000", "ends_at_ms = :now", "seen_at_ms = 0"):
        sign_in(client, "anna")
        sql(house, f"UPDATE sessions SET {change} WHERE seen_at_ms > :now - 5000", now=now_ms())
        assert client.get("/dicomweb/studies").status_code == 401, change
        assert client.get("/api/session").json()["user"] is None
    sign_in(client, "anna")
    ends = sql(house, "SELECT ends_at_ms - began_at_ms FROM sessions ORDER BY began_at_ms DESC LIMIT 1")
    assert ends == [(12 * HOUR_MS,)]
    assert sql(house, "SELECT count(*) FROM sessions WHERE seen_at_ms = 0") == [(0,)], (
        "what has run out is cleared away"
    )


def test_only_people_keep_a_session_alive(house: Server, client: httpx.Client) -> None:
    def seen() -> int:
        return int(sql(house, "SELECT max(seen_at_ms) FROM sessions")[0][0])

    lose_sessions(house)
    sign_in(client, "anna")
    long_ago = now_ms() - 600_000
    sql(house, "UPDATE sessions SET seen_at_ms = :then", then=long_ago)
    for path in ("/dicomweb/studies", "/api/session", "/server.json"):
        assert client.get(path, headers={"X-Idle": "1"}).status_code == 200
    assert seen() == long_ago
    assert client.get("/server.json").status_code == 200
    wait_until(lambda: seen() > long_ago)


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("elevenchars", "12 to 128"),
        ("x1y2z3" * 22, "12 to 128"),
        ("P@ssw0rd12345", "tried first"),
        ("welcome-hospital-2026", "tried first"),
        ("abcdefghijklmnop", "tried first"),
        ("098765432109", "tried first"),
        ("abababababab", "tried first"),
        ("my name is eve!", "does not hold the name"),
        ("a bell: \a, four words", "control"),
    ],
)
def test_weak_passwords(password: str, problem: str) -> None:
    with pytest.raises(passwords.WeakPassword, match=problem):
        passwords.check(password, "eve")


def test_good_passwords_however_they_are_typed() -> None:
    for password in (
        PASSWORD,
        "qx7-vm2-kd9-aa4",
        "Kaffee mit Milch und Zucker",
        "пароль от архива снимков",
        "x1y2z3" * 21,
    ):
        passwords.check(password, "eve")
    kept = passwords.hashed("cafe\u0301 cafe\u0301 cafe\u0301")
    assert passwords.is_right("caf\u00e9 caf\u00e9 caf\u00e9", kept)
    assert not passwords.is_right("cafe cafe cafe", kept)
    assert not passwords.is_right("anything", "no hash at all") and not passwords.is_right("anything", None)
    assert not passwords.is_dated(kept)
    assert passwords.is_dated(PasswordHasher(time_cost=1).hash("x"))


def test_accounts_at_the_command_line(house: Server, client: httpx.Client) -> None:
    done = users(house, "add", "ANNA", password=PASSWORD)
    assert done.returncode == 1 and "already" in done.stderr
    add_user(house, "Eve")
    sign_in(client, "eve")
    done = users(house, "password", "EVE", password="another horse battery")
    assert done.returncode == 0 and "all sessions have ended" in done.stdout
    wait_until(lambda: client.get("/server.json").status_code == 401)
    assert sign_in(client, "eve").status_code == 401
    assert sign_in(client, "eve", "another horse battery").status_code == 200
    assert re.search(r"eve  tenant default  password of [\d-]+  1 sessions", users(house, "list").stdout)
    assert users(house, "remove", "eve").returncode == 0
    wait_until(lambda: client.get("/server.json").status_code == 401)
    assert "battery" not in house.log() + str(house.audit())
    details = [one["detail"] for one in house.audit() if one["event"] == "Security Alert"]
    assert details[-3:] == ["account eve added", "password of eve changed", "account eve removed"]


def test_two_processes_behind_a_proxy_that_speaks_tls(start_server: StartServer) -> None:
    server = start_server(
        access={"sign_in": "required"},
        web={"workers": 2, "public_url": "https://pacs.example"},
        database={"url": postgresql_url()},
    )
    add_user(server, "anna")
    own = {"Host": "pacs.example", "Origin": "https://pacs.example"}
    answer = httpx.post(f"{server.web_url}/api/session", json={"name": "anna", "password": PASSWORD}, headers=own)
    assert answer.headers["set-cookie"].startswith("__Host-sid=")
    assert answer.headers["set-cookie"].endswith("; Path=/; HttpOnly; SameSite=Lax; Secure")
    token = re.search("=([^;]*)", answer.headers["set-cookie"]).group(1)  # type: ignore[union-attr]

    def statuses(cookie: str) -> set[int]:
        """Of requests by connections of their own, which the processes share among themselves."""
        headers = own | {"Cookie": cookie}
        return {httpx.get(f"{server.web_url}/server.json", headers=headers).status_code for _ in range(12)}

    assert statuses(f"sid={token}") == {401}
    assert statuses(f"__Host-sid={token}") == {200}
    answer = httpx.delete(f"{server.web_url}/api/session", headers=own | {"Cookie": f"__Host-sid={token}"})
    assert answer.status_code == 204
    wait_until(lambda: statuses(f"__Host-sid={token}") == {401})
    wrong = {"name": "anna", "password": "wrong"}
    tried = [httpx.post(f"{server.web_url}/api/session", json=wrong, headers=own).status_code for _ in range(7)]
    assert tried == [401] * 5 + [429] * 2
    nul = {"name": "a\0b", "password": "a\0b"}
    assert httpx.post(f"{server.web_url}/api/session", json=nul, headers=own).status_code == 401


def test_where_the_server_may_listen() -> None:
    def settings(public_url: str = "", **access: object) -> Settings:
        return Settings(web=Web(host="192.0.2.1", public_url=public_url), access=Access(**access))  # type: ignore[arg-type]

    check_exposure(settings("https://pacs.example", sign_in="required"), web=True, dimse=False)
    check_exposure(settings(unprotected=True), web=True, dimse=False)
    for refused in (settings(), settings("https://pacs.example"), settings("http://pacs.example", sign_in="required")):
        with pytest.raises(SettingsError, match=r"web\.host"):
            check_exposure(refused, web=True, dimse=False)


def test_without_sign_in_there_is_nothing_to_sign_in_to(server: Server) -> None:
    assert httpx.get(f"{server.web_url}/login?next=/x").headers["location"] == "/"
    assert httpx.post(f"{server.web_url}/api/session", json={}).status_code == 405
    assert b'"required":false' in httpx.get(f"{server.web_url}/sign-in/guard.js").content
