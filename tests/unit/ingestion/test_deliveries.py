"""Deliveries: told by their names and bytes alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from siyu.ingestion.connectors.files import SourceFile
from siyu.ingestion.deliveries import Deliveries, Due
from siyu.lake import Ledger, Manifest, ManifestFile

NOW = datetime(2026, 6, 30, tzinfo=UTC)


def offered(*said: str) -> list[SourceFile]:
    """Files, each given as ``<name>=<bytes>``."""
    named = [each.partition("=") for each in said]
    return [SourceFile(Path(name), name, content, 1, name) for name, _, content in named]


def batch(number: int, *said: str, repeats: tuple[str, ...] = (), superseding: int = 0) -> Manifest:
    def files(names: tuple[str, ...]) -> tuple[ManifestFile, ...]:
        known_at = NOW + timedelta(days=number) if number else None
        return tuple(
            ManifestFile(name=f.name, sha256=f.sha256, bytes=1, rows=1, known_at=known_at)
            for f in offered(*names)
        )

    return Manifest(
        batch_id=str(number), entity="stores", source="shops", files=files(said),
        repeats=files(repeats), superseding=superseding, loaded_at=NOW,
    )  # fmt: skip


def taking_out(number: int, **said: tuple[str, ...]) -> Manifest:
    return Manifest.model_validate(
        {
            "batch_id": f"out-{number}", "kind": "retraction", "entity": "stores",
            "source": "shops", "loaded_at": NOW, **said,
        }
    )  # fmt: skip


def due(batches: list[Manifest], *files: str, once: bool = False) -> Due:
    deliveries = Deliveries(Ledger(tuple(batches)), "shops", offered(*files))
    return deliveries.due((), NOW + timedelta(days=9), once=once)


def read(said: Due) -> list[str]:
    return [file.name for file in said.files]


def test_what_landed_is_not_due_and_what_is_new_is() -> None:
    said = due([batch(0, "a=x"), batch(1, "b=y")], "a=x", "b=y", "c=z")
    assert (read(said), said.after, said.repeats, said.moved) == (["c"], "", (), ())
    assert said.known_at == {"c": NOW + timedelta(days=9)}


def test_bytes_come_back_only_under_a_name_that_others_took() -> None:
    batches = [batch(0, "a=x"), batch(1, "a=y", superseding=1)]
    assert read(due(batches, "a=y")) == []
    said = due(batches, "a=x")
    assert (read(said), said.after) == (["a"], "1")
    assert read(due([*batches, batch(2, "a=x", superseding=1)], "a=x")) == []


def test_a_copy_is_read_once_something_took_the_place_of_what_it_says() -> None:
    first = batch(0, "a=x")
    assert read(due([first, batch(1, "b=y")], "a=x", "b=y", "c=x")) == []
    after = [first, batch(1, "b=y", superseding=1)]
    assert read(due(after, "a=x", "b=y", "c=x")) == ["c"]
    assert read(due([*after, batch(2, "c=x")], "a=x", "b=y", "c=x")) == []


def test_a_copy_is_read_when_something_new_lands_before_it() -> None:
    said = due([batch(0, "a=x")], "a=x", "b=x", "c=y", "d=x")
    assert (read(said), [file.name for file in said.repeats]) == (["c", "d"], ["b"])


def test_a_copy_that_was_noted_stays_old_though_the_batch_that_notes_it_goes() -> None:
    noted = batch(1, "c=y", repeats=("b=x",), superseding=1)
    after = [batch(0, "a=x"), noted, batch(2, "d=z", superseding=1)]
    assert read(due(after, "a=x", "b=x", "c=y", "d=z")) == []
    retracted = [*after, taking_out(1, retracts=("1",))]
    assert read(due(retracted, "a=x", "b=x", "d=z")) == []


def test_the_same_bytes_one_behind_the_other_are_read_once() -> None:
    said = due([], "a=x", "b=x", "c=y", "d=x")
    assert (read(said), [file.name for file in said.repeats]) == (["a", "c", "d"], ["b"])
    assert said.known_at == {}
    assert read(due([], "a=x", "b=x", "c=y", "d=x", once=True)) == ["a", "c"]


def test_a_batch_lands_again_only_from_the_file_that_is_its_own() -> None:
    batches = [batch(0, "a=x"), batch(1, "a=y"), batch(2, "a=x"), batch(3, "b=z")]
    deliveries = Deliveries(Ledger(tuple(batches)), "shops", offered("a=x", "c=z"))
    assert [deliveries.can_land_again(each) for each in batches] == [False, False, True, True]
    again = deliveries.due(batches[2:], NOW, once=False)
    assert read(again) == ["a", "c"]
    assert again.known_at == {"a": NOW + timedelta(days=2), "c": NOW + timedelta(days=3)}


def test_what_was_taken_out_and_let_in_again_was_known_before() -> None:
    batches = [batch(0, "a=x"), batch(1, "b=y"), taking_out(1, replaces=("1",))]
    assert due(batches, "a=x", "b=y").known_at == {"b": NOW + timedelta(days=1)}
    assert due(batches, "a=x", "c=y").known_at == {"c": NOW + timedelta(days=1)}


def test_what_was_retracted_is_not_due_under_any_name() -> None:
    batches = [batch(0, "a=x"), batch(1, "b=y"), taking_out(1, retracts=("1",))]
    said = Deliveries(Ledger(tuple(batches)), "shops", offered("a=x", "c=y"))
    assert [file.name for file in said.withheld] == ["c"]
    assert read(said.due((), NOW, once=False)) == []


def test_a_delivery_that_was_taken_out_to_land_again_is_due_though_its_bytes_stand() -> None:
    batches = [
        batch(0, "a=x"), batch(1, "b=y", superseding=1), batch(2, "c=x", superseding=1),
        taking_out(2, replaces=("2",)),
    ]  # fmt: skip
    said = due(batches, "b=y", "c=x")
    assert (read(said), said.known_at) == (["c"], {"c": NOW + timedelta(days=2)})
    assert read(due([*batches, batch(2, "c=x", superseding=1)], "b=y", "c=x")) == []
