"""What is kept from one campaign to the next: the shortest world for each pair of marks, and for each rule broken."""

from __future__ import annotations

from itertools import permutations

import pytest

from py_esp_ota.hunt import Breach, Run, read_world
from py_esp_ota.hunt.campaign import again
from py_esp_ota.hunt.corpus import Corpus, from_text, to_text

SHORT, LONG = (read_world(f"hunt1 chip=esp32 table=pair {acts}") for acts in ("20/job/1", "10/0/press 20/job/1"))


def ended(world, marks="", why=""):
    breach = Breach("trial", 0, 1.0, why) if why else None
    return Run(world, breach, frozenset(marks.split()), frozenset(), 1.0)


def test_the_shortest_world_of_each_pair_is_kept():
    runs = [ended(LONG, "cut trial-begun late-success"), ended(SHORT, "cut trial-begun")]
    corpus = Corpus.of(runs)
    assert set(corpus.marks) == {"cut+trial-begun", "cut+late-success", "late-success+trial-begun"}
    assert read_world(corpus.marks["cut+trial-begun"]) == SHORT
    assert read_world(corpus.marks["cut+late-success"]) == LONG
    assert corpus.lines() == [*{corpus.marks["cut+late-success"]: 0, corpus.marks["cut+trial-begun"]: 0}]


def test_findings_are_merged_by_their_rule():
    runs = [ended(LONG, why="2.0.0 in ota_1 boots once more"), ended(SHORT, why="3.0.0 in ota_0 boots once more")]
    corpus = Corpus.of(runs)
    assert list(map(read_world, corpus.findings.values())) == [SHORT]


def test_corpora_merge_in_any_order():
    parts = [Corpus.of([run]) for run in (ended(LONG, "a b"), ended(SHORT, "b c"), ended(SHORT, "a b", "why"))]
    first, *others = [one + (two + three) for one, two, three in permutations(parts)]
    assert all(first == other for other in others)
    assert parts[0] + Corpus() == parts[0]


def test_a_corpus_is_text_and_can_be_played_again():
    corpus = Corpus.of([ended(SHORT, "cut trial-begun")])
    assert from_text(to_text(corpus.marks)) == corpus.marks
    assert again(corpus.lines()).report.worlds == 1


@pytest.mark.parametrize(
    ("text", "why"), [("nonsense", "line 1: expected a key"), ("a\thunt1 chip=z80\n", "line 1: chip=z80")]
)
def test_what_is_no_corpus_is_named_with_its_line(text, why):
    with pytest.raises(ValueError, match=why):
        from_text(text)
