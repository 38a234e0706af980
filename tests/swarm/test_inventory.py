"""What a swarm knows of the keys and figures of its nodes."""

from __future__ import annotations

import json
from dataclasses import asdict

from kademlua.swarm.inventory import MAX_KEYS, Inventory, InventoryReport, smallest_keys

ALL = range(1, 10)


def report(**holders: list[int]) -> InventoryReport:
    return InventoryReport(holders={key: list(ports) for key, ports in holders.items()})


def test_holders_of_all_processes_are_combined_fewest_first() -> None:
    inventory = Inventory()
    inventory.update("0", report(aa=[1, 2], bb=[1]), ALL)
    inventory.update("1", report(aa=[5]), ALL)
    assert list(inventory.holders.items()) == [("bb", [1]), ("aa", [1, 2, 5])]
    assert inventory.holders_of("cc") == []


def test_key_is_lost_when_its_last_holder_ends() -> None:
    inventory = Inventory()
    inventory.update("0", report(aa=[1, 2], bb=[1]), ALL)
    inventory.update("1", report(aa=[5]), ALL)
    inventory.remove_node(1)
    assert inventory.lost_keys == ["bb"]
    inventory.remove_node(2)
    inventory.remove_node(5)
    assert inventory.lost_keys == ["aa", "bb"]
    assert inventory.holders == {}
    inventory.update("1", report(aa=[6]), ALL)  # its owner stored it again
    assert inventory.lost_keys == ["bb"]


def test_removed_key_is_not_lost() -> None:
    inventory = Inventory()
    inventory.update("0", report(aa=[1]), ALL)
    inventory.update("0", report(), ALL)
    inventory.remove_node(1)
    assert inventory.lost_keys == []


def test_late_report_of_an_ended_node_is_ignored() -> None:
    inventory = Inventory()
    inventory.update("0", report(aa=[1, 2]), [2])
    assert inventory.holders == {"aa": [2]}


def test_figures_are_kept_until_the_node_ends() -> None:
    inventory = Inventory()
    inventory.update("0", InventoryReport(figures={1: [9, 20, 3, 50, 60, 0]}), ALL)
    figures = inventory.figures_of(1)
    assert (figures["age_seconds"], figures["values"], figures["dropped"]) == (9, 3, 0)
    inventory.remove_node(1)
    assert inventory.figures_of(1) == {}


def test_large_inventories_are_cut_at_the_same_key() -> None:
    many = {f"{number:04x}": [1] for number in range(MAX_KEYS + 5)}
    kept, is_partial = smallest_keys(many)
    assert (len(kept), is_partial) == (MAX_KEYS, True)
    inventory = Inventory()
    inventory.update("0", InventoryReport(holders=kept, is_partial=True), ALL)
    inventory.update("1", report(ffff=[5]), ALL)  # the other process may hold it as well
    assert max(inventory.holders) == max(kept)
    assert smallest_keys({"aa": [1]}) == ({"aa": [1]}, False)


def test_report_survives_json() -> None:
    sent = InventoryReport(figures={8003: [9, 20, 3, 50, 60, 0]}, holders={"aa": [8003]})
    assert InventoryReport.from_json(json.loads(json.dumps(asdict(sent)))) == sent
