"""Virtual nodes from the order to the end: they come, live, are acted upon, outlive the server, and go."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from village import village

from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.virtual_nodes import Act, Dials, NewNodes
from py_esp_ota.errors import PowerLoss
from py_esp_ota.firmware import Firmware


def facts(node):
    return node.power, node.running, node.slot, node.state


def refusal(error):
    return error.value.refusal, error.value.description


# ------------------------------------------------------------------------------------------------------------- orders


def test_twenty_lamps_are_there_with_ids_of_their_own_and_come_online(lived):
    async def story(village):
        ids = await village.order(20, name="Lamp", type="Lightbulb")
        await village.online(*ids)
        await village.until(lambda: village.service.nodes.get("lamp-0020").name)
        shown = village.service.nodes.find(num_records=100).items
        return ids, [node.name for node in shown], [facts(node) for node in village.nodes.all()]

    ids, names, all_ = lived(story)
    assert ids == [f"lamp-{number:04}" for number in range(1, 21)]
    assert set(names) == {f"Lamp {number}" for number in range(1, 21)}
    assert all_ == [("on", "lamp 1.0.0", "ota_0", "VALID")] * 20


@pytest.mark.parametrize("look", ["get", "look", "all"])
def test_nothing_of_a_node_is_seen_before_it_is_told(lived, look):
    """A page hears what was told after it was made: what another look sees, and tells later, never came to it."""

    async def story(village):
        (node_id,) = await village.order()
        await village.online(node_id)
        nodes, live = village.nodes, village.service.live
        see = nodes.all if look == "all" else partial(getattr(nodes, look), node_id)
        page, at = see(), live.number
        nodes._nodes[node_id].device.power_on()
        assert (see() != page, live.number > at) == (True, True)
        page, at = see(), live.number
        assert (see() == page, live.number == at) == (True, True)

    lived(story)


def test_a_single_node_has_the_name_as_it_is_and_the_type(lived):
    async def story(village):
        (node_id,) = await village.order(name="Desk lamp", type="Switch", prefix="desk")
        await village.online(node_id)
        await village.until(lambda: village.service.nodes.get(node_id).name)
        return village.service.nodes.get(node_id)

    node = lived(story)
    assert (node.node_id, node.name, node.type, node.model) == ("desk-0001", "Desk lamp", "Switch", "lamp")


def test_ids_that_somebody_has_or_had_are_passed_over(lived):
    async def story(village):
        village.service.intake.on_presence("lamp-0002", True)
        village.service.intake.take([])
        first = await village.order(2)
        await village.online(*first)
        await village.nodes.remove(["lamp-0001"])
        village.service.nodes.forget(["lamp-0001"])
        return first, await village.order(2)

    assert lived(story) == (["lamp-0001", "lamp-0003"], ["lamp-0004", "lamp-0005"])


def test_orders_at_the_same_time_share_no_id(lived):
    async def story(village):
        village.image()
        return await asyncio.gather(village.order(3), village.order(3))

    first, second = lived(story)
    assert not set(first) & set(second)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"partitions": "nothing"}, "nothing"),
        ({"prefix": "a b"}, "prefix: no node id begins with 'a b'"),
        ({"prefix": "/"}, "prefix: no node id begins with '/'"),
        ({"name": 'a "lamp"'}, "name: no quotation mark, backslash or control character"),
        ({"name": "a\x00"}, "name: no quotation mark, backslash or control character"),
        ({"type": "a\\b"}, "type: no quotation mark, backslash or control character"),
        ({"dials": Dials(weather="rain")}, "rain"),
        ({"count": 4}, "3 virtual nodes are the most that this server takes, and 0 are there"),
    ],
)
def test_an_order_that_cannot_be_is_refused_and_leaves_nothing(lived, tmp_path, words, sentence):
    async def story(village):
        with pytest.raises(CloudError) as error:
            await village.order(**words)
        assert village.nodes.all() == []
        return refusal(error)

    kind, said = lived(story, most=3)
    assert kind is Refusal.VIRTUAL_NODE_REFUSED
    assert sentence in said
    assert not list(tmp_path.glob("devices/*"))


def test_an_image_that_does_not_fit_its_partition_is_refused(lived, tmp_path):
    async def story(village):
        with pytest.raises(CloudError) as error:
            await village.order(image=village.image(size=0x1A9010))
        return refusal(error)

    kind, said = lived(story)
    assert kind is Refusal.VIRTUAL_NODE_REFUSED
    assert said == "the firmware has 1740816 bytes, partition ota_0 only 1740800"
    assert not list(tmp_path.glob("devices/*"))


def test_an_image_that_is_not_there_is_unknown(lived):
    async def story(village):
        with pytest.raises(CloudError) as error:
            await village.order(image="nothing")
        return refusal(error)

    assert lived(story)[0] is Refusal.IMAGE_UNKNOWN


@pytest.mark.parametrize("chip", ["esp32", "esp32s3", "esp32c6", "esp32p4"])
def test_a_node_is_of_its_image_s_chip(lived, chip):
    async def story(village):
        ids = await village.order(image=village.image(chip=chip))
        await village.online(*ids)
        return village.nodes.get(ids[0]), village.nodes.look(ids[0])

    node, look = lived(story)
    assert (node.chip, look.chip, look.trouble) == (chip, chip, [])


# ---------------------------------------------------------------------------------------------------------------- acts


def test_without_power_nothing_runs_and_the_cloud_sees_it_go(lived):
    async def story(village):
        ids = await village.order()
        await village.online(*ids)
        await village.nodes.act(ids, Act.POWER_OFF)
        off = facts(village.nodes.get(ids[0]))
        await village.until(lambda: not village.service.nodes.is_online(ids[0]))
        await village.nodes.act(ids, Act.POWER_ON)
        await village.online(*ids)
        return off, facts(village.nodes.get(ids[0])), village.nodes.get(ids[0]).boots

    off, on, boots = lived(story)
    assert off == ("off", "", "", "")
    assert on == ("on", "lamp 1.0.0", "ota_0", "VALID")
    assert boots == 2


def test_a_press_on_reset_boots_again_and_loses_nothing(lived):
    async def story(village):
        ids = await village.order()
        await village.online(*ids)
        await village.nodes.act(ids, Act.RESET)
        await village.online(*ids)
        return village.nodes.get(ids[0])

    node = lived(story)
    assert (node.boots, node.power, node.running) == (2, "on", "lamp 1.0.0")


def test_a_cut_falls_into_the_next_flash_operation_and_the_board_lies_dead(lived):
    async def story(village):
        ids = await village.order()
        await village.online(*ids)
        await asyncio.sleep(20)
        await village.nodes.act(ids, Act.POWER_CUT)
        await asyncio.sleep(20)
        armed = village.nodes.get(ids[0])
        job = village.update(*ids)
        await village.until(lambda: village.nodes.get(ids[0]).power == "off")
        dead = village.nodes.get(ids[0])
        await village.nodes.act(ids, Act.POWER_ON)
        ended = await village.ended(job, ids[0])
        return armed, dead, ended, village.nodes.get(ids[0])

    armed, dead, ended, after = lived(story)
    assert (armed.cut_armed, armed.power) == (True, "on")
    assert (dead.cut_armed, dead.power, dead.running) == (False, "off", "")
    assert ended[0] == "success"
    assert (after.cut_armed, after.running) == (False, "lamp 1.1.0")


def test_a_cut_that_has_not_fallen_is_taken_back_with_the_power(lived):
    async def story(village):
        ids = await village.order()
        await village.nodes.act(ids, Act.POWER_CUT)
        await village.nodes.act(ids, Act.POWER_OFF)
        await village.nodes.act(ids, Act.POWER_ON)
        await village.online(*ids)
        job = village.update(*ids)
        return (await village.ended(job, ids[0]))[0]

    assert lived(story) == "success"


def test_an_erased_flash_boots_nothing_until_it_is_flashed_again(lived):
    async def story(village):
        ids = await village.order()
        await village.online(*ids)
        operations = village.nodes.look(ids[0]).operations
        await village.nodes.act(ids, Act.ERASE_FLASH)
        erased = village.nodes.look(ids[0])
        await village.nodes.act(ids, Act.POWER_ON)
        booted = facts(village.nodes.get(ids[0]))
        why = village.nodes.look(ids[0]).boot.why
        await village.nodes.act(ids, Act.REFLASH)
        await village.online(*ids)
        return operations, erased, booted, why, facts(village.nodes.get(ids[0])), village.nodes.look(ids[0])

    operations, erased, booted, why, after, fresh = lived(story)
    assert all(not any(region.fill) and set(region.erases) <= {1, 2} for region in erased.regions)
    assert erased.operations == operations + 1024
    assert booted == ("on", "", "", "")
    assert any("table at 0x8000 is refused" in line for line in why)
    assert after == ("on", "lamp 1.0.0", "ota_0", "VALID")
    assert fresh.trouble == []
    assert min(count for region in fresh.regions for count in region.erases) == 2


@pytest.mark.parametrize("act", [Act.RESET, Act.POWER_CUT])
def test_who_has_no_power_is_not_pressed(lived, act):
    async def story(village):
        ids = await village.order(2)
        await village.nodes.act(ids[1:], Act.POWER_OFF)
        with pytest.raises(CloudError) as error:
            await village.nodes.act(ids, act)
        return refusal(error), village.nodes.get(ids[0])

    said, other = lived(story)
    assert said == (Refusal.VIRTUAL_NODE_REFUSED, "lamp-0002 has no power: switch it on first")
    assert (other.boots, other.cut_armed) == (1, False)  # all or none


# --------------------------------------------------------------------------------------------------------------- dials


def test_a_failing_self_test_rolls_back_while_it_lives(lived):
    async def story(village):
        ids = await village.order()
        await village.online(*ids)
        await village.nodes.turn(ids, Dials(weather="app-no"))
        bad = await village.ended(village.update(*ids), ids[0])
        node = village.nodes.get(ids[0])
        await village.nodes.turn(ids, Dials())
        good = await village.ended(village.update(*ids, version="1.2.0"), ids[0])
        return bad, node, good, village.nodes.get(ids[0])

    bad, rolled_back, good, after = lived(story)
    assert bad == ("rejected", "Firmware rolled back")
    assert (rolled_back.running, rolled_back.dials.weather) == ("lamp 1.0.0", "app-no")
    assert good[0] == "success"
    assert (after.running, after.dials.weather) == ("lamp 1.2.0", "")


def test_weather_that_is_none_is_refused_for_all(lived):
    async def story(village):
        ids = await village.order(2)
        with pytest.raises(CloudError) as error:
            await village.nodes.turn(ids, Dials(weather="app-nope"))
        return refusal(error), [node.dials.weather for node in village.nodes.all()]

    (kind, said), weather = lived(story)
    assert kind is Refusal.VIRTUAL_NODE_REFUSED
    assert said.startswith("weather: ")
    assert weather == ["", ""]


# ------------------------------------------------------------------------------------------------------------ restarts


def test_after_a_restart_they_are_there_with_power_dials_and_flash(lived, tmp_path):
    async def first(village):
        ids = await village.order(3, name="Lamp", prefix="desk", type="Switch", rollback=False)
        await village.online(*ids)
        await village.ended(village.update("desk-0001"), "desk-0001")
        await village.nodes.turn(["desk-0002"], Dials(weather="slow@1000"))
        await village.nodes.act(["desk-0003"], Act.POWER_OFF)

    async def second(village):
        await village.online("desk-0001", "desk-0002")
        await asyncio.sleep(10)
        return village.nodes.all(), village.service.nodes.is_online("desk-0003"), village.service.nodes.get("desk-0001")

    lived(first)
    all_, online, node = lived(second)
    assert [facts(each)[:2] for each in all_] == [("on", "lamp 1.1.0"), ("on", "lamp 1.0.0"), ("off", "")]
    assert [each.dials.weather for each in all_] == ["", "slow@1000", ""]
    assert not online
    assert (node.name, node.type) == ("Lamp 1", "Switch")
    assert json.loads((tmp_path / "devices" / "desk-0001.json").read_text())["rollback"] is False


def test_a_board_whose_power_was_cut_stays_dead_over_a_restart(lived):
    async def first(village):
        ids = await village.order()
        await village.online(*ids)
        await village.nodes.act(ids, Act.POWER_CUT)
        village.update(*ids)
        await village.until(lambda: village.nodes.get(ids[0]).power == "off")

    async def second(village):
        await asyncio.sleep(10)
        return facts(village.nodes.get("lamp-0001"))

    lived(first)
    assert lived(second) == ("off", "", "", "")


def test_a_death_at_the_very_end_is_kept_as_well(lived):
    async def first(village):
        ids = await village.order()
        await village.online(*ids)
        node = village.nodes._nodes[ids[0]]
        await village.nodes.turn(ids, Dials(weather="cut@0"))
        with pytest.raises(PowerLoss):
            node.device.flash.erase(0x3F0000, 0x1000)
        return facts(village.nodes.get(ids[0]))

    async def second(village):
        await asyncio.sleep(10)
        return facts(village.nodes.get("lamp-0001"))

    assert lived(first)[0] == "off"
    assert lived(second)[0] == "off"


def test_who_is_removed_leaves_nothing_behind(lived, tmp_path):
    async def first(village):
        ids = await village.order(2)
        await village.online(*ids)
        await village.nodes.remove(ids)
        village.service.nodes.forget(ids)
        await asyncio.sleep(30)
        return village.nodes.all(), village.service.nodes.find().total

    async def second(village):
        return village.nodes.all()

    assert lived(first) == ([], 0)
    assert list((tmp_path / "devices").iterdir()) == []
    assert lived(second) == []


def test_devices_of_an_earlier_release_keep_their_flash(lived, tmp_path):
    """A folder with flashes and nothing else: ``--devices`` takes them up under their ids."""
    old = Firmware("lamp", "1.0.0").to_bytes()

    async def first(village):
        await village.nodes.bring_along(1, old)
        await village.online("node000001")
        await village.ended(village.update("node000001"), "node000001")

    async def second(village):
        await village.nodes.bring_along(2, old)
        await village.online("node000001", "node000002")
        return [(node.node_id, node.running) for node in village.nodes.all()]

    lived(first)
    for kept in (tmp_path / "devices").iterdir():
        if kept.suffix != ".bin":
            kept.unlink()
    assert lived(second) == [("node000001", "lamp 1.1.0"), ("node000002", "lamp 1.0.0")]


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"node_id": 1}', b"\xff", b"[" * 10_000, None],
    ids=lambda content: repr(content)[:20],
)
def test_a_document_that_is_none_is_named(lived, tmp_path, content):
    async def first(village):
        await village.order()

    async def second(_village):
        raise AssertionError

    lived(first)
    file = tmp_path / "devices" / "lamp-0001.json"
    if content is None:
        content = json.dumps(json.loads(file.read_text()) | {"power": 7}).encode()
    file.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"devices/lamp-0001\.json is not what was kept of a virtual node: move it away"
    ):
        lived(second)


# ------------------------------------------------------------------------------------------------------------- notices


def test_listeners_are_told_of_what_changes_and_of_nothing_else(lived):
    async def story(village):
        ids = await village.order(2)
        await village.online(*ids)
        await asyncio.sleep(60)
        before = village.service.live.number
        await asyncio.sleep(60)
        idle = village.service.live.number - before
        await village.nodes.act(ids[:1], Act.POWER_CUT)
        told = village.service.live.since(before)
        return idle, {notice.id for notice in told if notice.kind == "node"}

    assert lived(story) == (0, {"lamp-0001"})


# --------------------------------------------------------------------------------------------------------------- fuzz

WEATHER = st.sampled_from(["", "app-no", "slow@1000", "drop@100*1", "cut@3", "cut@0:torn", "mqtt-lose@2", "nonsense"])
STEP = st.one_of(
    st.tuples(st.just("act"), st.sampled_from(Act), st.sets(st.integers(1, 4), min_size=1)),
    st.tuples(st.just("turn"), WEATHER, st.sets(st.integers(1, 4), min_size=1)),
    st.tuples(st.just("remove"), st.none(), st.sets(st.integers(1, 4), min_size=1)),
    st.tuples(st.just("add"), st.integers(1, 3), st.just(frozenset())),
    st.tuples(st.just("update"), st.none(), st.sets(st.integers(1, 4), min_size=1)),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 3.0, 60.0]), st.just(frozenset())),
    st.tuples(st.just("restart"), st.none(), st.just(frozenset())),
)


@settings(max_examples=20, deadline=None)
@given(st.lists(STEP, max_size=15))
def test_whatever_hands_do_the_room_is_kept_as_it_stands(tmp_path_factory, steps):
    """After any acts: every node can be looked at, and a restart finds the same nodes with the same power and dials."""
    folder = tmp_path_factory.mktemp("village")

    async def play(open_village, step):
        name, argument, numbers = step
        ids = [f"lamp-{number:04}" for number in numbers]
        match name:
            case "act":
                await open_village.nodes.act(ids, argument)
            case "turn":
                await open_village.nodes.turn(ids, Dials(weather=argument))
            case "remove":
                await open_village.nodes.remove(ids)
                open_village.service.nodes.forget(ids)
            case "add":
                await open_village.nodes.add(NewNodes(count=argument, ota_image_id=open_village.first))
            case "update":
                open_village.update(*ids, version=f"1.{open_village.number}.0")
            case "wait":
                await asyncio.sleep(argument)

    def kept(nodes):
        return [(node.node_id, node.power, node.dials) for node in nodes.all()]

    async def lives(some, number):
        async with village(folder) as open_village:
            images = open_village.service.images.find().items
            open_village.first = images[-1].ota_image_id if images else open_village.image()
            await asyncio.sleep(1)
            for at, step in enumerate(some, number):
                open_village.number = at + 1
                with suppress(CloudError):
                    await play(open_village, step)
            await asyncio.sleep(1)  # a cut of its own is noticed
            for node in open_village.nodes.all():
                assert open_village.nodes.look(node.node_id).size == node.flash_size
            return kept(open_village.nodes)

    before = []
    parts = [[]]
    for step in steps:
        parts.append([]) if step[0] == "restart" else parts[-1].append(step)
    for number, part in enumerate(parts):
        found = run_virtual(lives(part, number * 100))
        if not part:
            assert [(node, dials) for node, _, dials in found] == [(node, dials) for node, _, dials in before]
        before = found


def test_a_disk_that_takes_nothing_is_a_sentence_of_the_node(lived, monkeypatch):
    async def story(village):
        (node_id,) = await village.order()

        def full(*_words):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(village.nodes, "_keep", full)
        with pytest.raises(CloudError) as dials:
            await village.nodes.turn([node_id], Dials(weather="cut@9"))
        with pytest.raises(CloudError) as act:
            await village.nodes.act([node_id], Act.RESET)
        return refusal(dials), refusal(act)

    said = (Refusal.VIRTUAL_NODE_REFUSED, "lamp-0001: it cannot be stored: [Errno 28] No space left on device")
    assert lived(story) == (said, said)
