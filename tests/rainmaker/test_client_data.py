"""Who a node is and where its broker is: the factory partition, and what the build makes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from py_esp_ota._core import Flash, PartitionTable
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspErr, NvsError
from py_esp_ota.firmware import merge
from py_esp_ota.idf.nvs import nvs_flash_init
from py_esp_ota.rainmaker import client_data
from py_esp_ota.sdkconfig import Sdkconfig

CONFIG = Sdkconfig()
CREDS = {"node_id": b"lamp-1", "mqtt_host": b"broker.lan", "client_cert": b"CERT", "client_key": b"KEY"}


def board(label="fctry", namespace="rmaker_creds", **values):
    table = PartitionTable.from_csv(f"{label}, data, nvs, 0x10000, 0x6000\n")
    made = client_data.factory_partition(values, 0x6000, namespace)
    return Chip("esp32c3", flash=Flash.from_bytes(merge({0x8000: table.to_bytes(), 0x10000: made})))


def test_a_board_reads_what_was_provisioned():
    assert client_data.factory_get_all(board(**CREDS), CONFIG) == CREDS
    assert client_data.factory_get_all(board(namespace="other", **CREDS), CONFIG) == {}
    other = replace(CONFIG, esp_rmaker_factory_partition_name="mfg", esp_rmaker_factory_namespace="other")
    assert client_data.factory_get_all(board("mfg", "other", **CREDS), other) == CREDS
    with pytest.raises(NvsError) as refused:
        client_data.factory_get_all(board("mfg", **CREDS), CONFIG)
    assert refused.value.err is EspErr.ESP_ERR_NOT_FOUND


def test_only_blobs_are_read():
    chip = board(mqtt_host=b"broker.lan")
    nvs_flash_init(chip, CONFIG, "fctry").open("rmaker_creds", "readwrite").set("node_id", "str", "lamp-1")
    assert client_data.factory_get_all(chip, CONFIG) == {"mqtt_host": b"broker.lan"}


def test_a_partition_that_is_too_small_refuses():
    with pytest.raises(NvsError):
        client_data.factory_partition({"client_cert": bytes(0x4000)}, 0x3000, "rmaker_creds")


@pytest.mark.parametrize(
    ("options", "factory", "host"),
    [
        ({}, {"mqtt_host": b"broker.lan"}, "broker.lan"),
        ({}, {"mqtt_host": b"broker.lan\0rest"}, "broker.lan"),
        ({}, {}, None),
        ({"esp_rmaker_self_claim": True}, {}, "mqtt.rainmaker.espressif.com"),
        ({"esp_rmaker_assisted_claim": True, "esp_rmaker_mqtt_host": "a.lan"}, {}, "a.lan"),
        ({"esp_rmaker_assisted_claim": True}, {"mqtt_host": b"broker.lan"}, "broker.lan"),
        (
            {"esp_rmaker_read_mqtt_host_from_config": True, "esp_rmaker_mqtt_host": "a.lan"},
            {"mqtt_host": b"b"},
            "a.lan",
        ),
    ],
)
def test_where_the_broker_is(options, factory, host):
    assert client_data.get_mqtt_host(factory, replace(CONFIG, **options)) == host


def test_who_the_node_is():
    from_cn = replace(CONFIG, esp_rmaker_read_node_id_from_cert_cn=True)

    def common_name(certificate):
        return f"CN of {certificate.decode()}"

    assert client_data.populate_node_id(CREDS, CONFIG, common_name) == "lamp-1"
    assert client_data.populate_node_id(CREDS, from_cn, common_name) == "CN of CERT"
    assert client_data.populate_node_id({"node_id": b"lamp-1"}, from_cn, common_name) is None, (
        "then the key is not asked"
    )
    assert client_data.populate_node_id({}, CONFIG, common_name) is None


def test_one_protocol_is_offered_on_443_and_none_on_8883():
    on_8883 = Sdkconfig.from_text("CONFIG_ESP_RMAKER_MQTT_PORT_8883=y\n")
    assert [client_data.mqtt_port(each) for each in (CONFIG, on_8883)] == [443, 8883]
    assert [client_data.mqtt_alpn(port) for port in (443, 8883, 1883)] == ["x-amzn-mqtt-ca", None, None]


def test_the_user_name():
    mac = bytes.fromhex("7cdfa1b2c3d4")
    assert client_data.get_aws_ppi(CONFIG, mac) == "?Platform=APN3|A0|RM|EX00|RMDev|1x0|7CDFA1B2C3D4"
    assert client_data.get_aws_ppi(replace(CONFIG, esp_rmaker_mqtt_send_username=False), mac) is None
    fits = replace(CONFIG, esp_rmaker_mqtt_product_name="n" * 22)  # 22, 3 and 12 characters: 37
    assert client_data.get_aws_ppi(fits, mac).endswith(f"|{'n' * 22}|1x0|7CDFA1B2C3D4")
    with pytest.raises(ValueError, match="have 38 characters, at most 37 go"):
        client_data.get_aws_ppi(replace(CONFIG, esp_rmaker_mqtt_product_name="n" * 23), mac)
    with pytest.raises(ValueError, match="EX07"):
        client_data.get_aws_ppi(replace(CONFIG, esp_rmaker_mqtt_product_sku="EX07"), mac)


def test_a_chip_without_a_mac_has_a_local_one_of_its_own():
    assert client_data.mac_of("7CDFA1B2C3D4") == bytes.fromhex("7cdfa1b2c3d4")
    macs = {client_data.mac_of(f"lamp-{number}") for number in range(50)}
    assert len(macs) == 50
    assert {mac[0] & 3 for mac in macs} == {2}, "locally administered, and of one station"
    assert client_data.mac_of("lamp-1") == client_data.mac_of("lamp-1")
