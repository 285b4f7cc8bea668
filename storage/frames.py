"""Frame number to byte ranges, from the layout alone (pure). Frames are numbered from 1 here and in every API."""

from index.errors import NotFound
from index.layout import ByteRange, EncapsulatedPixels, NativePixels, PixelLayout


def byte_ranges(layout: PixelLayout, number: int) -> list[ByteRange]:
    """Where the bytes of frame `number` stand: one range if native, one for each fragment if encapsulated.

    A single-bit frame may share its first and last byte with its neighbours: see `cut_bits`. Raises NotFound.
    """
    if not 1 <= number <= layout.number_of_frames:
        raise NotFound(f"There is no frame {number}; there are {layout.number_of_frames}")
    if isinstance(layout, NativePixels):
        first_bit = (number - 1) * layout.frame_bits
        first, last = first_bit // 8, (first_bit + layout.frame_bits + 7) // 8
        last = min(last, layout.length_bytes)
        return [(layout.offset_bytes + first, last - first)]
    return _fragments(layout, number)


def _fragments(layout: EncapsulatedPixels, number: int) -> list[ByteRange]:
    first = layout.first_fragment[number - 1]
    last = len(layout.fragment_offsets) if number == layout.number_of_frames else layout.first_fragment[number]
    return [(layout.fragment_offsets[i], layout.fragment_lengths[i]) for i in range(first, last)]


def cut_bits(layout: NativePixels, number: int, data: bytes) -> bytes:
    """The bits of frame `number` alone, starting at bit 0, out of the bytes that `byte_ranges` names.

    Bits are packed from the least significant bit of each byte on (PS3.5 8.1.1); the last byte is padded with 0.
    Frames of whole bytes come back unchanged.
    """
    bits = layout.frame_bits
    shift = (number - 1) * bits % 8
    if not shift and not bits % 8:
        return data
    number_of_bytes = (bits + 7) // 8
    # A Python integer of the whole frame shifts all bits at once, without a loop over bytes.
    value = int.from_bytes(data, "little") >> shift
    return (value & ((1 << bits) - 1)).to_bytes(number_of_bytes, "little")
