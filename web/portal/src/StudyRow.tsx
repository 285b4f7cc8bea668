// One study in the list. Narrow windows leave columns out and put what matters of them below the patient's name.

import { Badge, Checkbox, Group, Table, Text } from "@mantine/core";
import { useEffect, useRef } from "react";

import type { Study } from "./archive";
import { age, day, dayNearby, name, sex, text, timeOfDay, values } from "./dicom";
import { modalityName, partName, statusOf } from "./words";

interface Props {
  study: Study;
  isCurrent: boolean;
  isMarked: boolean;
  onSelect: (uid: string) => void;
  onMark: (uid: string) => void;
  onOpen: (uid: string) => void;
}

export const rowId = (uid: string): string => `study-${uid}`;

function When({ ds }: Pick<Study, "ds">) {
  const date = text(ds, "00080020");
  return (
    <Table.Td className="date" title={day(date)}>
      <Text size="sm">{dayNearby(date)}</Text>
      <Text size="xs" c="dimmed">
        {timeOfDay(text(ds, "00080030"))}
      </Text>
    </Table.Td>
  );
}

function Modalities({ ds }: Pick<Study, "ds">) {
  return (
    <Group gap={4}>
      {values(ds, "00080061").map((modality) => (
        <Badge key={String(modality)} variant="light" radius="sm" size="sm" title={modalityName(String(modality))}>
          {String(modality)}
        </Badge>
      ))}
    </Group>
  );
}

export function StudyRow({ study, isCurrent, isMarked, onSelect, onMark, onOpen }: Props) {
  const { uid, ds } = study;
  const row = useRef<HTMLTableRowElement>(null);
  useEffect(() => {
    if (isCurrent) row.current?.scrollIntoView({ block: "nearest" });
  }, [isCurrent]);
  const patient = name(ds, "00100010") || "No name";
  const details = [sex(text(ds, "00100040")), age(text(ds, "00100030"), text(ds, "00080020"))].filter(Boolean).join(", ");
  const description = text(ds, "00081030");
  const parts = values(ds, "00180015").map((part) => partName(String(part))).join(", ");
  const referring = name(ds, "00080090");
  const status = statusOf(ds);
  return (
    <Table.Tr
      ref={row}
      id={rowId(uid)}
      aria-selected={isCurrent}
      data-uid={uid}
      onClick={() => onSelect(uid)}
      onDoubleClick={() => onOpen(uid)}
    >
      <Table.Td className="mark" onClick={(event) => event.stopPropagation()}>
        <Checkbox size="xs" checked={isMarked} onChange={() => onMark(uid)} aria-label={`Mark the study of ${patient}`} tabIndex={-1} />
      </Table.Td>
      <Table.Td title={patient}>
        <Text fw={600} size="sm" truncate className="name">
          {patient}
        </Text>
        <Text size="xs" c="dimmed" truncate>
          <span className="slim">{[text(ds, "00100020"), details && " · "]}</span>
          {details}
        </Text>
        <Text size="xs" className="narrow" truncate>
          {[description, parts].filter(Boolean).join(" · ")}
        </Text>
      </Table.Td>
      <Table.Td className="wider" title={text(ds, "00100020")}>
        {text(ds, "00100020")}
      </Table.Td>
      <When ds={ds} />
      <Table.Td className="medium">
        <Badge variant="dot" color={status.color} className="reading-status">
          {status.label}
        </Badge>
      </Table.Td>
      <Table.Td className="modality">
        <Modalities ds={ds} />
        <Text size="xs" mt={4} c={status.tone} className="narrow">
          {status.label}
        </Text>
      </Table.Td>
      <Table.Td className="medium" title={description}>
        {description}
      </Table.Td>
      <Table.Td className="wide" title={parts}>
        {parts}
      </Table.Td>
      <Table.Td className="wide" title={text(ds, "00080050")}>
        {text(ds, "00080050")}
      </Table.Td>
      <Table.Td className="widest" title={referring}>
        {referring}
      </Table.Td>
      <Table.Td className="number wider">{Number(text(ds, "00201208")).toLocaleString()}</Table.Td>
    </Table.Tr>
  );
}
