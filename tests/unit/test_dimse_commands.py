"""The command codec against pynetdicom's, which is independent of it."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pynetdicom.dimse_messages import C_MOVE_RQ, C_STORE_RQ
from pynetdicom.dimse_primitives import C_MOVE, C_STORE
from pynetdicom.dsutils import decode as decode_dataset
from pynetdicom.dsutils import encode as encode_dataset

from dimse import commands
from dimse.commands import Command, Field, MalformedCommand, decode, encode, response

UIDS = st.lists(st.integers(0, 10**9), min_size=2, max_size=6).map(lambda parts: ".".join(map(str, parts)))
TITLES = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\\"), min_size=1, max_size=16)
NUMBERS = st.integers(0, 0xFFFF)


def encoded_by_pynetdicom(message) -> bytes:
    return encode_dataset(message.command_set, True, True)


@given(uid=UIDS, instance=UIDS, message_id=NUMBERS, title=TITLES)
def test_reads_what_pynetdicom_writes(uid, instance, message_id, title):
    primitive = C_STORE()
    primitive.MessageID = message_id
    primitive.AffectedSOPClassUID = uid
    primitive.AffectedSOPInstanceUID = instance
    primitive.Priority = 2
    primitive.MoveOriginatorApplicationEntityTitle = title
    primitive.MoveOriginatorMessageID = message_id
    primitive.DataSet = BytesIO(b"12")
    message = C_STORE_RQ()
    message.primitive_to_message(primitive)

    command = decode(encoded_by_pynetdicom(message))

    assert command.field == Field.C_STORE
    assert command.message_id == message_id
    assert command.sop_class_uid == uid
    assert command.sop_instance_uid == instance
    assert command.text(commands.MOVE_ORIGINATOR) == title
    assert command.number(commands.MOVE_ORIGINATOR_MESSAGE) == message_id
    assert command.has_dataset


@given(uid=UIDS, message_id=NUMBERS, status=NUMBERS, counts=st.lists(NUMBERS, min_size=4, max_size=4))
def test_pynetdicom_reads_what_we_write(uid, message_id, status, counts):
    request = Command(
        {commands.COMMAND_FIELD: Field.C_MOVE, commands.MESSAGE_ID: message_id, commands.AFFECTED_SOP_CLASS: uid}
    )
    names = ("remaining", "completed", "failed", "warning")
    encoded = encode(response(request, status, dataset=True, comment="x" * 70, **dict(zip(names, counts, strict=True))))

    read: Dataset = decode_dataset(BytesIO(encoded), True, True)

    assert read.CommandGroupLength == len(encoded) - 12
    assert read.AffectedSOPClassUID == uid
    assert read.CommandField == 0x8021
    assert read.MessageIDBeingRespondedTo == message_id
    assert read.CommandDataSetType != 0x0101
    assert read.Status == status
    assert read.ErrorComment == "x" * 64
    assert [
        read.NumberOfRemainingSuboperations,
        read.NumberOfCompletedSuboperations,
        read.NumberOfFailedSuboperations,
        read.NumberOfWarningSuboperations,
    ] == counts
    assert [element.tag for element in read] == sorted(element.tag for element in read)


def test_reads_a_move_request():
    primitive = C_MOVE()
    primitive.MessageID = 7
    primitive.AffectedSOPClassUID = "1.2.840.10008.5.1.4.1.2.2.2"
    primitive.MoveDestination = "DEST"
    primitive.Priority = 0
    primitive.Identifier = BytesIO(b"12")
    message = C_MOVE_RQ()
    message.primitive_to_message(primitive)

    assert decode(encoded_by_pynetdicom(message)).text(commands.MOVE_DESTINATION) == "DEST"


@given(st.binary(max_size=200))
def test_garbage_is_malformed_or_a_command(data):
    try:
        assert isinstance(decode(data), Command)
    except MalformedCommand:
        pass


@pytest.mark.parametrize(
    "data",
    [
        b"",
        encode({commands.COMMAND_FIELD: 1}),
        encode({commands.COMMAND_FIELD: 1, commands.DATA_SET_TYPE: 1})[:-1],
        b"\x08\0\x18\0\2\0\0\0ab",
    ],
    ids=["empty", "no data set type", "cut off", "another group"],
)
def test_refuses(data):
    with pytest.raises(MalformedCommand):
        decode(data)
