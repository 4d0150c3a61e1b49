"""The wire words: topics, statuses and payloads, from both ends."""

import json

import pytest

from py_esp_ota.rainmaker import messages
from py_esp_ota.rainmaker.messages import (
    NodeConfig,
    OtaFetch,
    OtaStatus,
    OtaStatusReport,
    OtaUrl,
    OtaUrlError,
    ota_status_from_string,
    ota_status_to_string,
    parse_topic,
    topic,
    topic_filters,
)

JOB = "AbCdEfGhIjKlMnOpQrStUv"

# ------------------------------------------------------------------------------------------------------------ topics


@pytest.mark.parametrize(
    ("suffix", "rule"),
    [
        ("config", "esp_node_config"),
        ("params/local/init", "esp_init_params"),
        ("params/local", "esp_set_params"),
        ("otafetch", "esp_node_otafetch"),
        ("otastatus", "esp_node_otastatus"),
    ],
)
def test_topics_to_the_cloud_have_a_rule_in_front_when_basic_ingest_is_on(suffix, rule):
    assert topic("n1", suffix) == f"node/n1/{suffix}"
    assert topic("n1", suffix, basic_ingest=True) == f"$aws/rules/{rule}/node/n1/{suffix}"


@pytest.mark.parametrize("suffix", ["otaurl", "params/remote"])
def test_topics_to_the_node_never_have_a_rule(suffix):
    assert topic("n1", suffix, basic_ingest=True) == f"node/n1/{suffix}"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("node/n1/otafetch", ("n1", "otafetch")),
        ("node/n1/params/local/init", ("n1", "params/local/init")),
        ("$aws/rules/esp_node_otastatus/node/n1/otastatus", ("n1", "otastatus")),
        ("$aws/rules/any/node/n1/params/local", ("n1", "params/local")),
        ("node/n1", None),
        ("node//otafetch", None),
        ("node/n1/", None),
        ("nodes/n1/otafetch", None),
        ("$aws/rules//node/n1/otafetch", None),
        ("$aws/rules", None),
        ("$aws/things/n1/streams/s/get/cbor", None),
        ("", None),
    ],
)
def test_topics_are_taken_apart_in_both_forms(name, parts):
    assert parse_topic(name) == parts


def test_a_cloud_needs_two_filters():
    assert topic_filters("otafetch") == ("node/+/otafetch", "$aws/rules/+/node/+/otafetch")


# ------------------------------------------------------------------------------------------------------------ status


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "in-progress"), (2, "success"), (3, "failed"), (4, "delayed"), (5, "rejected")],
)
def test_the_five_status_strings(number, text):
    assert ota_status_to_string(number) == text
    assert ota_status_from_string(text) == OtaStatus(number)


@pytest.mark.parametrize("number", [0, 6, -1, 99])
def test_any_other_status_is_invalid(number):
    assert ota_status_to_string(number) == "invalid"


@pytest.mark.parametrize("text", ["invalid", "In-Progress", "started", ""])
def test_unknown_status_words_stand_for_no_status(text):
    assert ota_status_from_string(text) is None


# ------------------------------------------------------------------------------------------------------------ otaurl


def test_otaurl_has_the_reference_s_key_order():
    job = OtaUrl(
        ota_job_id=JOB,
        url="https://h/p?q=1&r=2",
        fw_version="1.1",
        file_size=1234567,
        file_md5="0" * 32,
        metadata='{"validity": {"start": 1665081000}}',
    )
    assert job.encode().decode() == (
        f'{{"ota_job_id":"{JOB}","url":"https://h/p?q=1&r=2","fw_version":"1.1","file_size":1234567,'
        f'"file_md5":"{"0" * 32}","metadata":{{"validity":{{"start":1665081000}}}}}}'
    )


@pytest.mark.parametrize(
    "job",
    [
        OtaUrl(ota_job_id=JOB, url="https://h/x.bin"),
        OtaUrl(ota_job_id="", url=""),
        OtaUrl(
            ota_job_id=JOB, url="https://h/ü", fw_version="1", file_size=1, file_md5="a", stream_id="s", metadata="{}"
        ),
    ],
)
def test_what_the_cloud_sends_the_node_reads(job):
    assert OtaUrl.decode(job.encode()) == job


def test_only_known_keys_are_sent():
    assert json.loads(OtaUrl(ota_job_id="j", url="u").encode()) == {"ota_job_id": "j", "url": "u"}


def test_metadata_must_be_an_object():
    with pytest.raises(ValueError, match="metadata: the JSON is not an object"):
        OtaUrl(ota_job_id="j", url="u", metadata="[]").encode()


@pytest.mark.parametrize(
    ("payload", "info", "job"),
    [
        (b"", "Aborted. JSON Payload error", None),
        (b"{not json", "Aborted. JSON Payload error", None),
        (b"[]", "Aborted. OTA Updated ID not found in JSON", None),
        (b'{"url":"u"}', "Aborted. OTA Updated ID not found in JSON", None),
        (b'{"ota_job_id":5,"url":"u"}', "Aborted. OTA Updated ID not found in JSON", None),
        (b'{"ota_job_id":"j"}', "Aborted. URL not found in JSON", "j"),
        (b'{"ota_job_id":"j","url":null}', "Aborted. URL not found in JSON", "j"),
    ],
)
def test_otaurl_refusals(payload, info, job):
    with pytest.raises(OtaUrlError) as refused:
        OtaUrl.decode(payload)
    assert (refused.value.info, refused.value.ota_job_id) == (info, job)


@pytest.mark.parametrize(
    ("extra", "attribute", "value"),
    [
        ('"filesize":5', "file_size", 0),
        ('"file_size":"5"', "file_size", 0),
        ('"file_size":5.0', "file_size", 0),
        ('"file_size":5', "file_size", 5),
        ('"fw_version":""', "fw_version", None),
        ('"fw_version":2', "fw_version", None),
        ('"metadata":"{}"', "metadata", None),
        ('"metadata":{"a": 1}', "metadata", '{"a": 1}'),
        ('"file_md5":""', "file_md5", ""),
    ],
)
def test_optional_keys_of_the_wrong_type_are_not_there(extra, attribute, value):
    job = OtaUrl.decode(f'{{"ota_job_id":"j","url":"u",{extra}}}'.encode())
    assert getattr(job, attribute) == value


def test_escapes_in_the_url_reach_the_request_as_typed():
    assert OtaUrl.decode(rb'{"ota_job_id":"j","url":"https:\/\/h\/?a=1\u0026b=2"}').url == r"https:\/\/h\/?a=1\u0026b=2"


# -------------------------------------------------------------------------------------------------- otastatus, otafetch


def test_otastatus_as_on_the_wire():
    report = OtaStatusReport(
        ota_job_id=JOB, status="in-progress", additional_info="Downloading Firmware Image", ts=1753900000
    )
    assert report.encode().decode() == (
        f'{{"ota_job_id":"{JOB}","status":"in-progress",'
        '"additional_info":"Downloading Firmware Image","ts":1753900000}'
    )
    assert OtaStatusReport.decode(report.encode()) == report


def test_otastatus_of_a_thread_node_names_its_network():
    report = OtaStatusReport(ota_job_id="j", status="failed", network_id="0a0b", additional_info="x", ts=1)
    assert list(json.loads(report.encode())) == ["ota_job_id", "status", "network_id", "additional_info", "ts"]


@pytest.mark.parametrize(("job_length", "fits"), [(22, 105), (36, 91)])
def test_otastatus_is_cut_at_199_bytes(job_length, fits):
    def payload(length: int) -> bytes:
        return OtaStatusReport(
            ota_job_id="j" * job_length, status="failed", additional_info="x" * length, ts=1753900000
        ).encode()

    assert len(payload(fits)) == 199
    assert OtaStatusReport.decode(payload(fits)).additional_info == "x" * fits
    assert len(payload(fits + 1)) == 199
    with pytest.raises(ValueError, match="otastatus: the JSON is cut off after 199 bytes, the node's limit"):
        OtaStatusReport.decode(payload(fits + 1))


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        (b"", "otastatus: 0 bytes that are not JSON at byte 0"),
        (b"hello", "otastatus: 5 bytes that are not JSON at byte 0"),
        (b"\xff\xfe", "otastatus: 2 bytes that are not JSON"),
        (b"[1]", "otastatus: the JSON is not an object"),
        (b"{}", "otastatus: 'status' is missing"),
        (b'{"status":1}', "otastatus: 'status' is not a string"),
        (b'{"status":"failed","ota_job_id":7}', "otastatus: 'ota_job_id' is not a string"),
        (b"[" * 5000, "otastatus: the JSON is cut off after 5000 bytes, the node's limit"),
    ],
)
def test_the_cloud_says_what_is_wrong_with_a_report(payload, sentence):
    with pytest.raises(ValueError, match="otastatus") as refused:
        OtaStatusReport.decode(payload)
    assert str(refused.value).startswith(sentence)


def test_the_cloud_accepts_reports_of_early_firmware():
    report = OtaStatusReport.decode(b'{"status":"success","additional_info":"done","ts":"soon"}')
    assert (report.ota_job_id, report.ts) == (None, None)


def test_otafetch_as_on_the_wire():
    question = OtaFetch(node_id="n1", fw_version="1.0")
    assert question.encode() == b'{"node_id":"n1","fw_version":"1.0"}'
    assert OtaFetch.decode(question.encode()) == question
    assert len(OtaFetch(node_id="n" * 200, fw_version="1").encode()) == 149
    with pytest.raises(ValueError, match="otafetch: 'fw_version' is missing"):
        OtaFetch.decode(b'{"node_id":"n1"}')


# ----------------------------------------------------------------------------------------------------- config, params


def test_node_config_has_the_reference_s_key_order():
    config = NodeConfig(
        node_id="n1",
        name="ESP RainMaker Device",
        fw_version="1.0",
        type="Lightbulb",
        model="lamp",
        project_name="lamp",
        platform="esp32c3",
    )
    assert config.encode().decode() == (
        '{"node_id":"n1","config_version":"2020-03-20","info":{"name":"ESP RainMaker Device","fw_version":"1.0",'
        '"type":"Lightbulb","model":"lamp","project_name":"lamp","platform":"esp32c3"}}'
    )
    assert NodeConfig.decode(config.encode()) == config.__class__(
        **{
            field: getattr(config, field)
            for field in config.__slots__
            if field not in {"attributes", "devices", "services"}
        },
        attributes=[],
        devices=[],
        services=[],
    )


def test_a_subtype_stands_behind_the_type():
    config = NodeConfig.decode(b'{"node_id":"n","info":{"fw_version":"1","subtype":"s"}}')
    assert config.subtype == "s"
    assert list(json.loads(config.encode())["info"])[:4] == ["name", "fw_version", "type", "subtype"]


def test_devices_and_services_come_together():
    body = json.loads(
        NodeConfig(
            node_id="n",
            name="",
            fw_version="1",
            type="",
            model="",
            project_name="",
            platform="",
            attributes=[{"name": "cmd-resp", "value": "1"}],
            services=[{"name": "OTA"}],
        ).encode()
    )
    assert list(body) == ["node_id", "config_version", "info", "attributes", "devices", "services"]
    assert body["devices"] == []


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        (b"{}", "config: 'info' is not an object"),
        (b'{"info":{}}', "config: 'node_id' is missing"),
        (b'{"node_id":"n","info":{"fw_version":1}}', "config: 'fw_version' is not a string"),
        (b'{"node_id":"n","info":{"fw_version":"1"},"devices":[1]}', "config: 'devices' is not a list of objects"),
    ],
)
def test_the_cloud_says_what_is_wrong_with_a_config(payload, sentence):
    with pytest.raises(ValueError, match="config") as refused:
        NodeConfig.decode(payload)
    assert str(refused.value) == sentence


def test_params_travel_as_devices_of_values():
    values = {"Light": {"Power": True, "Brightness": 40, "Name": "Lamp"}}
    assert messages.encode_params(values) == b'{"Light":{"Power":true,"Brightness":40,"Name":"Lamp"}}'
    assert messages.decode_params(messages.encode_params(values)) == values
    assert json.loads(messages.encode_set_params({"Light": {"Name": 'a "b"'}})) == {"Light": {"Name": 'a "b"'}}
    with pytest.raises(ValueError, match="params: 'Light' is not an object"):
        messages.decode_params(b'{"Light":1}')
