"""Bodies that nobody sends by mistake, to every call there is: the documented answer, and one line in the log."""

from __future__ import annotations

import pytest
from cloud_bench import Bench, expect, failure
from documented import document_of
from few_rehearsals import FewRehearsals
from few_virtual_nodes import FewVirtualNodes

from py_esp_ota.cloud.api.absent import ABSENT
from py_esp_ota.cloud.api.boards import BODY_LIMITS as BOARD_LIMITS
from py_esp_ota.cloud.api.guard import BODY_LIMIT
from py_esp_ota.cloud.api.images import BODY_LIMITS
from py_esp_ota.cloud.api.virtual_nodes import BODY_LIMITS as DUMP_LIMITS
from py_esp_ota.cloud.refusals import Refusal
from py_esp_ota.cloud.web import mount_web

JSON = {"Content-Type": "application/json"}
MEGABYTES = 10 * 1024 * 1024
BODIES = {
    "10 MB": (b'{"user_name":"' + b"x" * MEGABYTES + b'"}', ""),
    "10 MB of brackets": (b"[" * MEGABYTES, "nested deeper than 64 levels"),
    "not UTF-8": (b'{"user_name":"\xff\xfe"}', "is not UTF-8, at character 14"),
    "cut in a character": ('{"user_name":"\N{SNOWMAN}'.encode()[:-1], "is not UTF-8, at character 14"),
    "UTF-16": ('{"user_name":"a"}'.encode("utf-16"), "is not UTF-8, at character 0"),
    "10,000 lists deep": (b"[" * 10_000 + b"]" * 10_000, "nested deeper than 64 levels"),
    "10,000 objects deep": (b'{"metadata":' * 10_000 + b"1" + b"}" * 10_000, "nested deeper than 64 levels"),
    "a number without end": (b'{"timeout":' + b"9" * 100_000 + b"}", "a number that no double holds"),
    "not JSON": (b"\x00" * 100, "is not JSON, at character 0"),
    "not a number": (b'{"timeout":NaN}', "NaN is no JSON number"),
}
LIMITED = (*BODY_LIMITS, *DUMP_LIMITS, *BOARD_LIMITS)


@pytest.fixture(scope="module")
def attacked():
    bench = Bench(virtual_nodes=FewVirtualNodes(), rehearsals=FewRehearsals())
    bench.service.outbox.start()
    mount_web(bench.app, bench.service)
    bench.join("n1")
    bench.job("n1", image=bench.image(name="fw"))
    yield bench
    bench.store.close()


def _operations():
    bench = Bench()
    paths = document_of(bench.app).document["paths"]
    bench.store.close()
    return [
        (method.upper(), path, "application/json" in operation.get("requestBody", {}).get("content", {}))
        for path, methods in paths.items()
        for method, operation in methods.items()
    ]


OPERATIONS = _operations()
named = {"ids": [f"{method} {path}" for method, path, _ in OPERATIONS]}


@pytest.mark.parametrize(("method", "path", "reads_json"), OPERATIONS, **named)
def test_hostile_bodies_are_refused_in_a_line(attacked, caplog, method, path, reads_json):
    attacked.__dict__.pop("token", None)  # another call may have logged out
    target = path.replace("{ota_image_id}", "x").replace("{node_id}", "x")
    for name, (content, problem) in BODIES.items():
        caplog.clear()
        answer = attacked.call(method, target, content=content, headers=JSON)
        assert answer.status_code < 500, name
        lines = [(record.levelname, record.getMessage(), record.exc_info) for record in caplog.records]
        if len(content) > BODY_LIMIT and not target.startswith(LIMITED):
            refusal, sentence = Refusal.BODY_TOO_LARGE, f"more than {BODY_LIMIT} bytes"
        elif reads_json and problem:
            refusal, sentence = Refusal.INVALID_REQUEST, problem
        else:
            assert lines == [], name
            continue
        assert failure(answer) == expect(refusal), name
        assert sentence in answer.json()["description"], name
        (line,) = lines
        assert (line[0], line[2]) == ("WARNING", None), name
        assert line[1].startswith(f"{method} {target}"), name
        assert sentence in line[1], name


def test_an_absent_call_reads_none_of_it(attacked, caplog):
    """They have one answer: the first call is sent every body, each other call the next one."""
    attacked.__dict__.pop("token", None)
    bodies = [content for content, _ in BODIES.values() if len(content) < BODY_LIMIT]
    pairs = [(ABSENT[0], content) for content in bodies]
    pairs += [(call, bodies[number % len(bodies)]) for number, call in enumerate(ABSENT)]
    for call, content in pairs:
        path = f"/v1/{call.path}".replace("{", "").replace("}", "")
        answer = attacked.call(call.method, path, content=content, headers=JSON)
        assert failure(answer) == expect(Refusal.NOT_SERVED), (call, content[:40])
    assert caplog.records == []


FORM = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="%b"; filename="%b"\r\n\r\n'
FORMS = {
    "10 MB of nothing": (FORM, b"\x00" * MEGABYTES),
    "10 MB of a name": (FORM, PART % (b"n" * MEGABYTES, b"f")),
    "10 MB of a field": (FORM, b'--x\r\nContent-Disposition: form-data; name="job_name"\r\n\r\n' + b"j" * MEGABYTES),
    "10 MB of a file": (FORM, PART % (b"file", b"f") + b"\xe9" * MEGABYTES + b"\r\n--x--\r\n"),
    "20,000 parts": (FORM, PART % (b"file", b"f") * 20_000 + b"--x--\r\n"),
    "a part that does not end": (FORM, PART % (b"file", b"\xff\xfe")),
    "no boundary": ("multipart/form-data", PART % (b"file", b"f")),
    "500,000 fields": ("application/x-www-form-urlencoded", b"a=b&" * 250_000),
    "not UTF-8": ("application/x-www-form-urlencoded", b"job_name=%ff%fe&nodes=\xff"),
    "JSON": ("application/json", b"[" * 10_000),
}


# A part that does not end is no field, and the framework leaves its file, which is in memory, to the garbage collector.
@pytest.mark.filterwarnings("ignore:.*SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "path", ["/images/upload", "/images/preview", "/images/x/start", "/images/x/archive", "/jobs/x/cancel", "/docs"]
)
def test_hostile_forms_are_refused_by_the_page(attacked, caplog, path):
    for name, (content_type, content) in FORMS.items():
        caplog.clear()
        answer = attacked.call("POST", path, content=content, headers={"Content-Type": content_type})
        judged = path == "/images/preview" and answer.status_code == 200  # a file, and what is wrong with it
        assert judged or 400 <= answer.status_code < 500, (name, answer.text)
        lines = [record.levelname for record in caplog.records]
        assert lines in ([], ["WARNING"]), name
        assert "Traceback" not in answer.text, name


def test_a_line_in_the_log_is_one_line_whatever_the_path_is(attacked, caplog):
    attacked.call("POST", "/v1/admin/otaimage%0Aall is well%1B[2J" + "x" * 5000, content=b"x" * 30_000_000)
    (record,) = caplog.records
    assert record.getMessage().isprintable()
    assert len(record.getMessage()) < 400
