"""What is hidden in texts, and how long it takes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from time import thread_time

import pytest

from instrumentation.redaction import SECRETS, Secrets, anywhere, cut, cut_front
from instrumentation.showing import LONGEST_MESSAGE, LONGEST_STACK, SHOWING, Showing

HOSTILE = {
    "one long word": "pwd" * 34_000,
    "a long word before its colon": "token" * 20_000 + ":",
    "a path": "GET /" + "pwd" * 34_000 + " status=404",
    "only separators": "token" + "=:" * 50_000,
    "names without values": "token= " * 15_000,
    "quotes that never end": 'token="x\n' * 11_000,
    "escaped quotes": "token=" + '"\\' * 50_000,
    "brackets that never end": "token=(" * 14_000,
    "escaped quotes in brackets": "token=[" + '"\\' * 50_000,
    "blanks": "token" + " " * 100_000 + "=1",
    "digits": "card=" + "1 " * 50_000,
    "addresses": "token://:" * 11_000 + "@",
    "pairs": "'token','" * 11_000,
    "schemes": "bearer " * 15_000,
    "a long token": "bearer " + "bearer-" * 15_000,
    "basic words": "basic " * 17_000,
    "a long basic token": "basic " + "basic+" * 17_000,
    "options": "--token " * 13_000,
    "an option before blanks": "--token" + " " * 100_000,
    "elements": "<token " * 14_000 + "</token>",
    "elements that never end": "<token>" * 14_000 + "</",
    "one long element": "</<token " + "x " * 50_000,
    "names of pairs": "name=token," * 9_000,
    "pairs in quotes": "'name':'token'," * 7_000,
    "curl": "curl -u a" * 11_000 + ":",
    "humps": "tokenA" * 17_000 + "=",
    "other names each time": "".join(f"t{number}Token=" for number in range(10_000)),
    "passwords with slashes": "://u:p@" + "x/" * 50_000 + " ://u:p@x/" * 5_000,
    "closed values": "token=x" + ")" * 100_000 + "x",
    "values with commas": "token=" + ",a" * 50_000,
    "values with long words": "token=" + ("," + "a" * 70) * 1_400,
    "many closed values": "token=x)," * 11_000,
    "private keys": "-----BEGIN PRIVATE KEY-----\n" * 4_000,
    "joints of names": ("api" + "_" * 100 + "-") * 1_000 + "=",
    "raw passwords": "://user:pass#word" * 6_000 + "@",
    "a raw password": "://u:" + "p'" * 50_000 + "@",
    "raw users": "://" + "u" * 90_000 + "://" * 3_000 + ":@",
    "addresses without a host": "://" + "@:" * 50_000 + " ://" * 20_000,
}


TEXTS = (
    ("Cookie: theme=dark; sessionid=S", "Cookie: [redacted]"),
    ("Cookie: theme=dark; sessionid=S\nHost: shop", "Cookie: [redacted]\nHost: shop"),
    ("Set-Cookie: sid=S; Path=/", "Set-Cookie: [redacted]"),
    ("Authorization: Token S", "Authorization: [redacted]"),
    ("Authorization: AWS4-HMAC-SHA256 Credential=S/x, Signature=S", "Authorization: [redacted]"),
    ("headers [('Authorization', 'Bearer S')]", "headers [('Authorization', [redacted])]"),
    ("[(b'authorization', b'Bearer S'), (b'a', b'b')]", "[(b'authorization', [redacted]), (b'a', b'b')]"),
    ("{'Authorization': 'Bearer S', 'n': 1}", "{'Authorization': [redacted], 'n': 1}"),
    ("{'Cookie': 'a=b; sid=S'}", "{'Cookie': [redacted]}"),
    (r"{\"token\": \"S\", \"n\": 1}", r"{\"token\": [redacted], \"n\": 1}"),
    ("https://user:S@host/?access_token=S&x=1", "https://[redacted]@host/?access_token=[redacted]&x=1"),
    ("password='two words S' user=u", "password=[redacted] user=u"),
    ("f(token='S', n=1)", "f(token=[redacted], n=1)"),
    ('token="S"S"', "token=[redacted]"),
    ("secret=['S', {'a': 'S}'}] user=u", "secret=[redacted] user=u"),
    ("card_number=4111 1111 1111 1111 ok", "card_number=[redacted] ok"),
    ("next=%2Flogin%3Ftoken%3DS&x=1", "next=%2Flogin%3Ftoken%3D[redacted]&x=1"),
    ("{:token=>S, :n=>1}", "{:token=>[redacted], :n=>1}"),
    ("api key: S", "api key: [redacted]"),
    ("pass=S ssn: S compass=N", "pass=[redacted] ssn: [redacted] compass=N"),
    ('password="it\\"s S" user=u', "password=[redacted] user=u"),
    ("password=S,S now; password=S)S pin=S;S", "password=[redacted] now; password=[redacted] pin=[redacted]"),
    ("password=S&S password: S}S.", "password=[redacted] password: [redacted]"),
    ("a=1&token=S&b=2 a=1&amp;token=S&amp;b=2", "a=1&token=[redacted]&b=2 a=1&amp;token=[redacted]&amp;b=2"),
    (
        "(token=S) (token=S). token=S, next=1",
        "(token=[redacted]) (token=[redacted]). token=[redacted], next=1",
    ),
    ("token=S,next=1;pin=S;n=1", "token=[redacted],next=1;pin=[redacted];n=1"),
    (
        "f(token=S,n=1) f(g(token=S)) <a token=S>",
        "f(token=[redacted],n=1) f(g(token=[redacted])) <a token=[redacted]>",
    ),
    ("{'url': '/?token=S', 'n': 1}", "{'url': '/?token=[redacted]', 'n': 1}"),
    ('{"url":"/?token=S","n":["/?pin=S","n"]}', '{"url":"/?token=[redacted]","n":["/?pin=[redacted]","n"]}'),
    (r'"{\"url\": \"/?token=S\", \"n\": 1}"', r'"{\"url\": \"/?token=[redacted]\", \"n\": 1}"'),
    ("<a>/?token=S</a>", "<a>/?token=[redacted]</a>"),
    ("AccountName=n;AccountKey=S/S==;End=1", "AccountName=n;AccountKey=[redacted];End=1"),
    ("Ocp-Apim-Subscription-Key: S", "Ocp-Apim-Subscription-Key: [redacted]"),
    ("ccnum=4111 password\u00a0=\u00a0S", "ccnum=[redacted] password\u00a0=\u00a0[redacted]"),
    ("account: 5, subscription key 7", "account: 5, subscription key 7"),
    (
        "-----BEGIN RSA PRIVATE KEY-----\nS\nS==\n-----END RSA PRIVATE KEY-----\nend",
        "-----BEGIN RSA PRIVATE KEY-----[redacted]-----END RSA PRIVATE KEY-----\nend",
    ),
    ("private_key=-----BEGIN PRIVATE KEY-----\nS", "private_key=[redacted] PRIVATE KEY-----[redacted]"),
    ("tokens left at 12:30", "tokens left at 12:30"),
    ("the password is wrong", "the password is wrong"),
    ("sent Bearer eyJhbGci.eyJzdWIi.c2ln to the shop", "sent Bearer [redacted] to the shop"),
    ("authorization bearer S-0123456789", "authorization bearer [redacted]"),
    ("BEARER AbCdEfGhIjKl", "BEARER [redacted]"),
    ("Bearer\tAbCdEfGhIjKl", "Bearer\t[redacted]"),
    ("sent Bearer\nAbCdEfGhIjKl", "sent Bearer\n[redacted]"),
    ("Bearer: S", "Bearer: [redacted]"),
    ("log in with Basic dXNlcjpTZWNyZXQ= again", "log in with Basic [redacted] again"),
    ("sent=Basic dXNlcjpTZWNyZXQ=", "sent=Basic [redacted]"),
    ("auth=('u', 'S')", "auth=[redacted]"),
    ("{'name': 'password', 'value': 'S', 'n': 1}", "{'name': 'password', 'value': [redacted], 'n': 1}"),
    ('[{"name": "DB_PASSWORD", "value": "S"}]', '[{"name": "DB_PASSWORD", "value": [redacted]}]'),
    (r"{\"key\": \"API_TOKEN\", \"value\": \"S\"}", r"{\"key\": \"API_TOKEN\", \"value\": [redacted]}"),
    ("{'name': 'pin', 'type': 'n', 'value': 'S'}", "{'name': 'pin', 'type': 'n', 'value': [redacted]}"),
    ("- name: DB_PASSWORD\n  value: S\n- name: A", "- name: DB_PASSWORD\n  value: [redacted]\n- name: A"),
    ('<input name="password" value="S">', '<input name="password" value=[redacted]>'),
    ("{'name': 'colour', 'value': 'red'}", "{'name': 'colour', 'value': 'red'}"),
    ("('token', 'S'), ('a', 'b')", "('token', [redacted]), ('a', 'b')"),
    ("DB_PASS=S smtp_pass: S", "DB_PASS=[redacted] smtp_pass: [redacted]"),
    ("db-pass=S userPass='S'", "db-pass=[redacted] userPass=[redacted]"),
    ("discarded: 5; max_tokens: 200, cardinality=7", "discarded: 5; max_tokens: 200, cardinality=7"),
    ("tokens: abc-200, max_tokens=2_000.5", "tokens: [redacted], max_tokens=2_000.5"),
    ("deploy --password S --user u --token='S'", "deploy --password [redacted] --user u --token=[redacted]"),
    ("--api-key 'two S' --no-password shop", "--api-key [redacted] --no-password shop"),
    ("<password>S</password><n>1</n>", "<password>[redacted]</password><n>1</n>"),
    ('<ns:apiKey a="b">S</ns:apiKey>', '<ns:apiKey a="b">[redacted]</ns:apiKey>'),
    ("curl -u user:S https://host", "curl -u user:[redacted] https://host"),
    ("docker run -u 1000:1000 shop", "docker run -u 1000:1000 shop"),
    ("postgres://u:p@S/S@h/shop", "postgres://[redacted]@h/shop"),
    ("https://u:S@host/@scope/shop a@b.example", "https://[redacted]@host/@scope/shop a@b.example"),
    ("a://u:S@h1,b://u:S@h2", "a://[redacted]@h1,b://[redacted]@h2"),
    ("git clone https://ghp_S@host/shop.git", "git clone https://[redacted]@host/shop.git"),
    ("https://ghp_S:x-oauth-basic@host", "https://[redacted]@host"),
    ("redis://user:p@S@host:6379", "redis://[redacted]@host:6379"),
    ("postgres://:S@host/shop", "postgres://[redacted]@host/shop"),
    ("postgres://user:p#S@db/x", "postgres://[redacted]@db/x"),
    ("redis://:p?S@host, amqp://u:p'S@h/", "redis://[redacted]@host, amqp://[redacted]@h/"),
    ('"https://u:p<S@h" "mysql://u:p/S@h"', '"https://[redacted]@h" "mysql://[redacted]@h"'),
    ("http://host:8080/?mail=a@b.example", "http://host:8080/?mail=a@b.example"),
    ("http://host:8080'a@b.example http://[::1]:80/@b", "http://host:8080'a@b.example http://[::1]:80/@b"),
    ('{"url":"http://h:80","n":"a@b"}', '{"url":"http://h:80","n":"a@b"}'),
    ('{"url":"chat://h:x","n":"a@b"}', '{"url":"chat://h:x","n":"a@b"}'),
    ("see https://host/@user and a@b.example", "see https://host/@user and a@b.example"),
    ("a basic understanding, the bearer certificates.", "a basic understanding, the bearer certificates."),
    ("Basic Understanding of Bearer Certificates", "Basic Understanding of Bearer Certificates"),
    ("password: ", "password: "),
)

VALUES: tuple[tuple[object, object], ...] = (
    ({"body": "password=S"}, {"body": "password=[redacted]"}),
    ({"headers": [("Authorization", "Bearer S")]}, {"headers": [["Authorization", "[redacted]"]]}),
    ([(b"cookie", b"sid=S"), (b"host", b"shop")], [["cookie", "[redacted]"], [b"host", b"shop"]]),
    (
        {"cookies": {"sid": "S"}, "o": {"Cookie": "S"}},
        {"cookies": "[redacted]", "o": {"Cookie": "[redacted]"}},
    ),
    (b"token=S", b"token=[redacted]"),
    (b"\xff\x00", b"\xff\x00"),
    ([{"name": "DB_PASSWORD", "value": "S"}], [{"name": "DB_PASSWORD", "value": "[redacted]"}]),
    ({"value": 1234, "Name": "pin"}, {"value": "[redacted]", "Name": "pin"}),
    ({"name": "Gift Card", "value": 25}, {"name": "Gift Card", "value": 25}),
    ({"max_tokens": 200, "tokens": ["S"]}, {"max_tokens": 200, "tokens": "[redacted]"}),
    ({"tokens": True, "otp": 123456}, {"tokens": "[redacted]", "otp": "[redacted]"}),
    (["password", "S"], ["password", "[redacted]"]),
    (["psql", "--password", "S", "-h", "h"], ["psql", "--password", "[redacted]", "-h", "h"]),
    (["--password", "S"], ["--password", "[redacted]"]),
    ([b"psql", b"--password", b"S"], [b"psql", b"--password", "[redacted]"]),
    (["x", "--no-password", "h", "--token", "-v"], ["x", "--no-password", "h", "--token", "-v"]),
    (["x", "--token=S", "h"], ["x", "--token=[redacted]", "h"]),
    (["/usr/bin/curl", "-u", "bob:S", "h"], ["/usr/bin/curl", "-u", "bob:[redacted]", "h"]),
    (["sudo", "curl", "-ubob:S", "--user=b:S"], ["sudo", "curl", "-ubob:[redacted]", "--user=b:[redacted]"]),
    (["docker", "run", "-u", "1000:1000"], ["docker", "run", "-u", "1000:1000"]),
    (
        {"password=S": 1, "a/?token=S": 1},
        {"password=[redacted]": "[redacted]", "a/?token=[redacted]": "[redacted]"},
    ),
    ({"api-key": "S", "x-api-key": "S"}, {"api-key": "[redacted]", "x-api-key": "[redacted]"}),
)


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_secrets_in_texts(text: str, expected: str) -> None:
    """What stands behind a secret's name is hidden, however it is written; the rest stays."""
    assert SHOWING.text(text) == expected


@pytest.mark.parametrize(("value", "expected"), VALUES)
def test_secrets_in_values(value: object, expected: object) -> None:
    """Texts within values are searched as messages are, and pairs are taken for name and value."""
    assert SHOWING.value("x", value) == expected


SECRET_NAMES = (
    "DB_PASS smtp_pass db-pass userPass db.pass pass2 PASS mypassword PGPASSWORD passwords old_passwd pw",
    "otp otp_code pin card_pin auth basicAuth auth_header jwt session-jwt signature x-amz-signature csrf",
    "csrftoken xsrfToken creds dbCreds sessionid JSESSIONID accesstoken authToken client_secret clientsecret",
    "AWS_SECRET_ACCESS_KEY DBToken token2 setcookie Set-Cookie creditCard card_number cards cvv2 IBAN",
    "customer_iban X-Api-Key apikey APIKey privateKey private-key access_key_id authorization",
    "credentialsFile bearer ssn",
)
OPEN_NAMES = (
    "session.id session_id sessionId discarded cardinality postcard_sent wildcard scorecard dashcard_id",
    "tokenizer tokenized secretary secretion caliban ibanez cardiology passenger compass bypass pass_rate",
    "accessibility shipping spinner pinned hotplug author authored oauth author_id OAuthProvider designature",
    "passed key name keyboard monkey classname",
)


@pytest.mark.parametrize("names", SECRET_NAMES)
def test_names_of_secrets(names: str) -> None:
    """A secret's name is known by its words, however they are joined."""
    assert [name for name in names.split() if not SHOWING.hides(name)] == []


@pytest.mark.parametrize("names", OPEN_NAMES)
def test_names_of_no_secrets(names: str) -> None:
    """A name that only has the letters of a secret's name in it is none."""
    assert [name for name in names.split() if SHOWING.hides(name)] == []


def test_names_that_are_added_are_found_in_longer_ones() -> None:
    """What an application adds is hidden however a name goes on, and however its words are joined."""
    showing = Showing(Secrets(*anywhere(["employee_number", "kennwort", ""])))
    names = ["employee_number", "employeeNumber", "old-employee-numbers", "MeinKennwort1", "number", "token"]
    assert [showing.hides(name) for name in names] == [True, True, True, True, False, False]
    assert showing.text("employee number: 7, kennwort=S") == (
        "employee number: [redacted], kennwort=[redacted]"
    )


def test_names_may_be_added_from_many_threads() -> None:
    """None of them is lost."""
    secrets = Secrets()
    with ThreadPoolExecutor(8) as pool:
        for number in range(200):
            pool.submit(secrets.add, f"name_{number}_x")
    assert [secrets.named_by(f"name_{number}_x") for number in range(200)] == [True] * 200
    assert secrets.generation == 200


@pytest.mark.flaky(reruns=2)
def test_values_are_bounded() -> None:
    """Of long and nested values the beginning is shown, with a mark, in a short time."""
    rows = [{"id": number, "name": "n"} for number in range(200_000)]
    shared: list[object] = []
    for _ in range(12):
        shared = [shared] * 10

    started = thread_time()
    assert SHOWING.value("x", rows)[-1] == "...[cut]"
    assert "...[cut]" in str(SHOWING.value("x", shared))
    assert SHOWING.value("x", "y" * 5_000_000) == "y" * 1016 + "...[cut]"
    assert SHOWING.value("x", b"y" * 5_000_000) == b"y" * 1016 + b"...[cut]"
    assert thread_time() - started < 0.5


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.flaky(reruns=2)
def test_time_is_bounded_whatever_a_text_holds(kind: str) -> None:
    """100 KB made to keep a search busy are done within 50 ms, as a message and as a traceback."""
    showing = Showing(SECRETS, Secrets("*pin*"))

    started = thread_time()
    showing.text(HOSTILE[kind], LONGEST_MESSAGE)
    showing.stack(HOSTILE[kind])

    assert thread_time() - started < 0.05


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.flaky(reruns=2)
def test_time_grows_with_the_length_and_no_faster(kind: str) -> None:
    """Ten times the text takes about ten times as long, even uncut."""
    text = HOSTILE[kind]

    started = thread_time()
    SECRETS.hidden_in(text)

    assert thread_time() - started < 1


def test_long_texts_are_cut_with_a_mark() -> None:
    """The beginning of a message stays, of a traceback the last whole lines."""
    assert cut("x" * 20, 20) == "x" * 20
    assert cut("x" * 21, 20) == "x" * 12 + "...[cut]"
    assert cut_front("first line\nsecond\nthird", 20) == "...[cut]\nthird"
    assert cut_front("one\ntwo", 20) == "one\ntwo"


URL = "postgres://bob:hunter2secret@db/x"


@pytest.mark.parametrize("longest", [64, LONGEST_MESSAGE])
def test_a_secret_that_is_cut_is_hidden_first(longest: int) -> None:
    """Wherever the cut falls, nothing of a password is shown, and what stands before it is."""
    shown = [SHOWING.text("x" * length + " " + URL * 3, longest) for length in range(longest + 10)]

    assert [text for text in shown if "hunter" in text] == []
    assert {len(text) for text in shown} >= {longest}
    assert shown[-1] == "x" * (longest - 8) + "...[cut]"


def test_a_text_that_fits_without_its_secrets_is_not_cut() -> None:
    """What is hidden takes no room, and a value without an end leaves the mark."""
    assert SHOWING.text("token=" + "s" * 1100 + " ok") == "token=[redacted] ok"
    assert SHOWING.text("token='" + "s " * 500_000) == "token=[redacted]...[cut]"


def test_an_object_that_is_cut_within_a_secret_is_hidden() -> None:
    """An object's text is hidden as a whole for what stands before the cut, and for nothing behind it."""

    class Connection:
        def __init__(self, pad: int) -> None:
            self._pad = pad

        def __repr__(self) -> str:
            return f"Connection({'x' * self._pad} {URL})"

    shown = [SHOWING.value("c", Connection(pad)) for pad in range(300)]

    assert {text for text in shown if "..." not in text} == {"[redacted]"}
    assert [text for text in shown if "hunter" in text] == []
    assert shown[-1] == f"Connection({'x' * 237}...[cut]"


def test_a_traceback_is_searched_before_it_is_cut() -> None:
    """A value whose name is cut off is hidden, and the end of the traceback stays."""
    secret = "password='" + "hunter2 " * 100 + "'"
    shown = [SHOWING.stack(f"{'a' * 6000}\nb {secret}\n{'x' * pad}\nend") for pad in range(31_700, 32_800, 9)]
    one_line = SHOWING.stack("Error: password=hunter2" + "x" * LONGEST_STACK)

    assert [text for text in [*shown, one_line] if "hunter2" in text] == []
    assert {text[-4:] for text in shown} == {"\nend"}
    assert one_line == "Error: password=[redacted]"
