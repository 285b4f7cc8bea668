"""An object of any size is taken in and read within a fixed amount of memory."""

import subprocess
import sys
from pathlib import Path

import pytest

SIZE_BYTES = 600 * 1024**2
LARGEST_RSS_KIB = 150 * 1024

SCRIPT = """
import sys
from pathlib import Path
import tests.archives as archives
from pydicom.encaps import encapsulate
house = archives.embedded(Path(sys.argv[1]))
size, frame = int(sys.argv[3]), 400_000
frames = size // frame
if sys.argv[2] == "native":
    ds = archives.a_dataset(PixelData=b"", NumberOfFrames=frames, Rows=500, Columns=400)
    head = archives.as_file(ds)[:-12]
    parts = [head, b"\\xe0\\x7f\\x10\\0OW\\0\\0", (frames * frame).to_bytes(4, "little")]
    parts += [bytes([number % 256]) * frame for number in (0,)]
    def source():
        yield from parts[:3]
        for number in range(frames):
            yield bytes([number % 256]) * frame
else:
    ds = archives.a_dataset(NumberOfFrames=frames, Rows=500, Columns=400, PixelData=encapsulate([b"12"]))
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    file = archives.as_file(ds, "1.2.840.10008.1.2.4.90")
    head = file[: file.index(b"\\xe0\\x7f\\x10\\0")]
    def source():
        yield head + b"\\xe0\\x7f\\x10\\0OB\\0\\0\\xff\\xff\\xff\\xff" + b"\\xfe\\xff\\0\\xe0\\0\\0\\0\\0"
        for number in range(frames):
            yield b"\\xfe\\xff\\0\\xe0" + frame.to_bytes(4, "little") + bytes([number % 256]) * frame
        yield b"\\xfe\\xff\\xdd\\xe0\\0\\0\\0\\0"
outcome = house.store(source())
assert outcome.stored, outcome.reasons
(stored,) = house.archive.instances(house.principal, ds.StudyInstanceUID)
(one,) = house.frames(outcome.key, [frames - 3])
assert one == bytes([(frames - 4) % 256]) * frame
total = sum(len(block) for block in house.archive.open_file(house.principal, stored, archives.ANYTHING).blocks)
assert total == stored.size_bytes > frames * frame
# Not ru_maxrss: that one is inherited from the process that started this one.
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


@pytest.mark.parametrize("kind", ["native", "encapsulated"])
def test_a_large_object_needs_little_memory(tmp_path: Path, kind: str) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), kind, str(SIZE_BYTES)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < LARGEST_RSS_KIB
