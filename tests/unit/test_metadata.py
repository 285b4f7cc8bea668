"""Metadata as it is kept: any thread reads what any other wrote, and it is small."""

from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

from index.errors import CannotUnderstand
from index.records import DicomJson, InstanceKey
from storage.metadata import array_blocks, array_length, bulk_data_prefix, compress, decompress, to_json


def kept(dataset: DicomJson) -> bytes:
    return compress(to_json(dataset))


def test_round_trip() -> None:
    dataset = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller^Jürgen", "Ideographic": "山田"}]}}
    assert orjson.loads(decompress(kept(dataset))) == dataset
    assert decompress(kept(dataset)).decode("utf-8").startswith('{"00100010"')


def test_threads_do_not_disturb_each_other() -> None:
    datasets = [{f"{number:08X}": {"vr": "LO", "Value": [f"value {number}"] * 50}} for number in range(400)]
    with ThreadPoolExecutor(8) as pool:
        blobs = list(pool.map(kept, datasets))
        assert [orjson.loads(text) for text in pool.map(decompress, blobs)] == datasets
    assert all(len(blob) < 100 for blob in blobs)


@pytest.mark.parametrize("count", [1, 2, 3, 500])
def test_arrays(count: int) -> None:
    datasets = [{"00080018": {"vr": "UI", "Value": [f"1.2.{number}"] * 200}} for number in range(count)]
    blobs = [kept(dataset) for dataset in datasets]
    text = b"".join(array_blocks(blobs))
    assert len(text) == array_length(blobs)
    assert orjson.loads(text) == datasets
    assert max(map(len, array_blocks(blobs))) <= 65536 + max(map(len, map(decompress, blobs))) + 2


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(CannotUnderstand):
        to_json({"00100020": {"vr": "IS", "Value": [2**70]}})


def test_bulk_data_is_addressed_from_the_root_of_the_server() -> None:
    assert (
        bulk_data_prefix(InstanceKey("1.2", "3.4", "5.6")) == "/dicomweb/studies/1.2/series/3.4/instances/5.6/bulkdata/"
    )
