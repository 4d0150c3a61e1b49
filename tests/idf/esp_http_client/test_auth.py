"""Basic and Digest: challenges and answers, beside vectors of the RFCs, httpx2 as a client, and older releases."""

from __future__ import annotations

import httpx2
import pytest
from doorkeeper import Doorkeeper
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota.idf.esp_http_client.auth import (
    Challenge,
    as_in_c,
    basic,
    challenge,
    digest,
    get_string_after,
    get_string_between,
    str_starts_with,
)
from py_esp_ota.idf.esp_http_client.features import http_client_features

NONCE = "dcd98b7102dd2f0e8b11d0f600bfb0c093"
SERVER = 'Digest realm="firmware", nonce="n1", algorithm=SHA-256, qop="auth", opaque="o1"'


def version(text: str):
    return http_client_features(tuple(int(part) for part in text.split(".")))


def answer(header: str, release: str = "6.2.0", *, method: str = "GET", uri: str = "/x", nc: int = 1, cnonce: int = 10):
    features = version(release)
    asked = challenge(header, method, features)
    return digest(asked, "lamp", "light", uri=uri, nc=nc, cnonce=cnonce, features=features)


# ------------------------------------------------------------------------------------------------------------- strings


@pytest.mark.parametrize(
    ("text", "begin", "end", "found"),
    [
        ('a realm="b"', 'realm="', '"', "b"),
        ('a REALM="b"', 'realm="', '"', "b"),
        ('a realm=""', 'realm="', '"', ""),
        ('a realm="b', 'realm="', '"', None),
        ("a realm=b", 'realm="', '"', None),
        ('xrealm="b" realm="c"', 'realm="', '"', "b"),
        ("", "x", "y", None),
    ],
)
def test_what_stands_between(text, begin, end, found):
    assert get_string_between(text, begin, end) == found


def test_what_stands_behind():
    assert get_string_after("Digest ALGORITHM=MD5 ", "algorithm=") == "MD5 "
    assert get_string_after("Digest", "algorithm=") is None


def test_how_a_challenge_begins():
    assert str_starts_with("digest x", "Digest")
    assert str_starts_with("Digester", "Digest")
    assert not str_starts_with("Dig", "Digest")
    assert not str_starts_with("digest x", "Digest", any_case=False)
    assert not str_starts_with("DİGEST", "digest")  # only ASCII has two cases


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (SERVER, Challenge("GET", "firmware", "SHA-256", "auth", "n1", "o1")),
        ('Digest realm="r",nonce="n"', Challenge("GET", "r", "MD5", None, "n", None)),
        ("Digest realm=r, nonce=n, qop=auth", Challenge("GET", None, "MD5", None, None, None)),
        # up to the comma or the end, quotes, blanks and all
        ('Digest algorithm="MD5", realm="r"', Challenge("GET", "r", '"MD5"', None, None, None)),
        ('Digest nonce="n", algorithm=MD5-sess', Challenge("GET", None, "MD5-sess", None, "n", None)),
        ("Digest algorithm=", Challenge("GET", None, "", None, None, None)),
        ('Digest qop="auth,auth-int"', Challenge("GET", None, "MD5", "auth,auth-int", None, None)),
        # the first word wins that ends in what is looked for
        ('Digest nextnonce="a", nonce="b"', Challenge("GET", None, "MD5", None, "a", None)),
    ],
)
def test_what_a_challenge_says(header, found):
    assert challenge(header, "GET") == found


def test_a_name_above_ascii_is_its_bytes():
    assert basic(as_in_c("ü"), as_in_c("é")) == "Basic w7w6w6k="


def test_basic():
    assert basic("Aladdin", "open sesame") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert basic("user", None) == "Basic dXNlcjoobnVsbCk="  # printf of a null pointer


# -------------------------------------------------------------------------------------------------------------- digest


def test_the_vector_of_rfc_2069():
    asked = Challenge("GET", "testrealm@host.com", "MD5", None, NONCE, "5ccc069c403ebaf9f0171e9517f40e41")
    made = digest(asked, "Mufasa", "CircleOfLife", uri="/dir/index.html", nc=1, cnonce=0)
    assert made == (
        f'Digest username="Mufasa", realm="testrealm@host.com", nonce="{NONCE}", uri="/dir/index.html", algorithm=MD5, '
        'response="1949323746fe6a43ef61f9606e7febea", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )


def test_the_whole_answer():
    made = answer(SERVER, uri="/lamp.bin?v=1", nc=0x1F, cnonce=0xABC)
    assert made.startswith(
        'Digest username="lamp", realm="firmware", nonce="n1", uri="/lamp.bin?v=1", algorithm=SHA-256, response="'
    )
    assert made.endswith('", qop=auth, nc=0000001f, cnonce="0000000000000abc", opaque="o1"')


@pytest.mark.parametrize("missing", ["realm", "nonce", "password"])
def test_without_which_there_is_no_answer(missing):
    words = {"realm": "r", "nonce": "n"}
    words.pop(missing, None)
    asked = Challenge("GET", words.get("realm"), "MD5", "auth", words.get("nonce"), None)
    assert digest(asked, "u", None if missing == "password" else "p", uri="/", nc=1, cnonce=1) is None


TEXT = st.text("abcXYZ019 =/.-_%", min_size=1, max_size=20).map(str.strip).filter(bool)


@given(
    algorithm=st.sampled_from(["MD5", "MD5-sess", "SHA-256"]),
    qop=st.sampled_from(["auth", None]),
    opaque=st.one_of(st.none(), TEXT),
    words=st.tuples(TEXT, TEXT, TEXT, TEXT),
    path=st.text("abc/?=1", max_size=9),
)
def test_httpx_answers_the_same(algorithm, qop, opaque, words, path):
    realm, nonce, username, password = words
    header = f'Digest realm="{realm}", nonce="{nonce}", algorithm={algorithm}'
    header += f', qop="{qop}"' if qop else ""
    header += f', opaque="{opaque}"' if opaque else ""
    request = httpx2.Request("GET", f"http://h/{path}")
    flow = httpx2.DigestAuth(username, password).auth_flow(request)
    next(flow)
    theirs = flow.send(httpx2.Response(401, headers={"www-authenticate": header}, request=request))
    said = theirs.headers["authorization"]
    cnonce = get_string_between(said, 'cnonce="', '"')
    if algorithm == "MD5-sess" and qop is None:
        return  # it does not say its cnonce then, and neither do we
    uri = request.url.raw_path.decode()
    made = digest(challenge(header, "GET"), username, password, uri=uri, nc=1, cnonce=int(cnonce, 16) if cnonce else 0)
    for word in ("response", "username", "realm", "nonce", "uri", "opaque", "cnonce"):
        assert get_string_between(made, f' {word}="', '"') == get_string_between(said, f' {word}="', '"')


@pytest.mark.parametrize(
    ("algorithm", "qop", "let_in"),
    [
        ("MD5", "auth", True),
        ("MD5", None, True),
        ("MD5-sess", "auth", True),
        ("SHA-256", "auth", True),
        ("SHA-256", None, True),
        ("SHA-256-sess", "auth", False),  # hashed with MD5
    ],
)
def test_who_is_let_in(algorithm, qop, let_in):
    keeper = Doorkeeper(algorithm=algorithm, qop=qop, opaque="o")
    for count in (1, 2):
        made = answer(keeper.challenge(), nc=count)
        assert keeper.lets_in("GET", "https://h/x", made) is let_in
    assert keeper.refused == ([] if let_in else ["wrong response"] * 2)


# ------------------------------------------------------------------------------------------------------------- releases


@pytest.mark.parametrize(
    ("release", "tail"),
    [
        ("4.3.0", ', qop=auth, nc=00000001, cnonce="000000000000000a"'),
        ("5.0.0", ', qop=auth, nc=00000001, cnonce="000000000000000a"'),
        ("5.1.0", ", qop=auth, nc=00000001, cnonce=000000000000000a"),
        ("5.1.3", ", qop=auth, nc=00000001, cnonce=000000000000000a"),
        ("5.1.4", ', qop=auth, nc=00000001, cnonce="000000000000000a"'),
        ("5.2.0", ", qop=auth, nc=00000001, cnonce=000000000000000a"),
        ("5.2.1", ', qop=auth, nc=00000001, cnonce="000000000000000a"'),
        ("6.2.0", ', qop=auth, nc=00000001, cnonce="000000000000000a"'),
    ],
)
def test_how_the_end_of_an_answer_is_written(release, tail):
    made = answer('Digest realm="firmware", nonce="n1", algorithm=MD5, qop="auth"', release)
    assert made.endswith(f'"{tail}')
    assert ('algorithm="MD5"' in made) is (release < "5.3")


@pytest.mark.parametrize(
    ("release", "tail"), [("5.0.6", ', qop=(null), nc=00000001, cnonce="000000000000000a"'), ("5.0.7", "")]
)
def test_without_qop(release, tail):
    assert answer('Digest realm="firmware", nonce="n1"', release).partition('response="')[2][32:] == f'"{tail}'


@pytest.mark.parametrize(
    ("release", "header", "algorithm"),
    [
        ("5.2.7", 'Digest realm="r", nonce="n", algorithm=SHA-256', "MD5"),
        ("5.3.0", 'Digest realm="r", nonce="n", algorithm=SHA-256', "SHA-256"),
        ("5.4.3", 'Digest realm="r", nonce="n", algorithm=sha-256', "MD5"),
        ("5.4.4", 'Digest realm="r", nonce="n", algorithm=sha-256', "SHA-256"),
        ("5.5.2", 'Digest realm="r", nonce="n", algorithm=SHA-256-sess', "SHA-256"),
        ("5.5.3", 'Digest realm="r", nonce="n", algorithm=SHA-256-sess', "MD5-sess"),
        ("5.4.3", 'Digest realm="r", nonce="n", algorithm=SHA256', "SHA-256-sess"),
        ("5.4.4", 'Digest realm="r", nonce="n", algorithm=SHA256', "SHA-256"),
        ("6.0.0", 'Digest realm="r", nonce="n", algorithm="SHA-256"', "MD5"),
        ("6.0.0", 'Digest realm="r", nonce="n", algorithm=md5-SESS', "MD5-sess"),
        ("4.3.0", 'Digest realm="r", nonce="n", algorithm=MD5-sess, x', "MD5-sess"),
        ("4.3.0", 'Digest realm="r", nonce="n", algorithm=MD5-sess', "MD5"),  # no comma behind it
    ],
)
def test_what_is_hashed_with_what(release, header, algorithm):
    said = answer(header, release)
    keeper = Doorkeeper(algorithm=algorithm, qop=None, realm="r")
    keeper.nonces["n"] = 0
    judged = keeper._response("GET", "/x", {"nonce": "n", "cnonce": "000000000000000a"})
    assert get_string_between(said, 'response="', '"') == judged


def test_the_first_releases_look_at_the_case():
    assert challenge('Digest REALM="r", nonce="n"', "GET", version("4.3.7")).realm is None
    assert challenge('Digest REALM="r", nonce="n"', "GET", version("4.4.0")).realm == "r"


def test_auth_int_is_hashed_with_a_word_that_no_server_knows():
    plain = answer('Digest realm="r", nonce="n", qop="auth"')
    body = answer('Digest realm="r", nonce="n", qop="AUTH-INT"')
    assert plain.partition("response")[2][:35] != body.partition("response")[2][:35]
    assert "qop=AUTH-INT" in body
