// The study list: one row a study, sorted by the server, moved through by keyboard.

import { Badge, Checkbox, Group, Table, Text, UnstyledButton } from "@mantine/core";
import { IconArrowDown, IconArrowUp } from "@tabler/icons-react";
import { type KeyboardEvent, useEffect, useRef } from "react";

import type { Sorting, Study } from "./archive";
import { age, day, name, sex, text, timeOfDay, values } from "./dicom";

const COLUMNS: { title: string; keyword?: string; className?: string }[] = [
  { title: "Patient", keyword: "PatientName" },
  { title: "Patient ID", keyword: "PatientID", className: "wide" },
  { title: "Study date", keyword: "StudyDate" },
  { title: "Modality" },
  { title: "Description", keyword: "StudyDescription", className: "medium" },
  { title: "Accession", keyword: "AccessionNumber", className: "wide" },
  { title: "Referring", keyword: "ReferringPhysicianName", className: "widest" },
  { title: "Images", className: "number wide" },
];

interface Props {
  studies: Study[];
  current: string | null;
  marked: ReadonlySet<string>;
  sorting: Sorting;
  onSort: (sorting: Sorting) => void;
  onSelect: (uid: string) => void;
  onMark: (uid: string) => void;
  onOpen: (uid: string) => void;
}

function Header({ title, keyword, className, sorting, onSort }: (typeof COLUMNS)[number] & Pick<Props, "sorting" | "onSort">) {
  const active = keyword !== undefined && keyword === sorting.keyword;
  const Arrow = sorting.descending ? IconArrowDown : IconArrowUp;
  return (
    <Table.Th className={className} aria-sort={active ? (sorting.descending ? "descending" : "ascending") : undefined}>
      {keyword ? (
        <UnstyledButton
          className="sort"
          onClick={() => onSort({ keyword, descending: active ? !sorting.descending : keyword === "StudyDate" })}
        >
          {title}
          {active && <Arrow size={14} />}
        </UnstyledButton>
      ) : (
        title
      )}
    </Table.Th>
  );
}

function Row({ study, ...props }: Pick<Props, "current" | "marked" | "onSelect" | "onMark" | "onOpen"> & { study: Study }) {
  const { uid, ds } = study;
  const person = useRef<HTMLTableRowElement>(null);
  const isCurrent = uid === props.current;
  useEffect(() => {
    if (isCurrent) person.current?.scrollIntoView({ block: "nearest" });
  }, [isCurrent]);
  const born = text(ds, "00100030");
  const details = [sex(text(ds, "00100040")), age(born, text(ds, "00080020"))].filter(Boolean).join(", ");
  return (
    <Table.Tr
      ref={person}
      aria-selected={isCurrent}
      data-uid={uid}
      onClick={() => props.onSelect(uid)}
      onDoubleClick={() => props.onOpen(uid)}
    >
      <Table.Td className="mark" onClick={(event) => event.stopPropagation()}>
        <Checkbox size="xs" checked={props.marked.has(uid)} onChange={() => props.onMark(uid)} aria-label="Select this study" />
      </Table.Td>
      <Table.Td>
        <Text fw={600} size="sm" truncate>
          {name(ds, "00100010") || "No name"}
        </Text>
        <Text size="xs" c="dimmed">
          {details}
        </Text>
      </Table.Td>
      <Table.Td className="wide">{text(ds, "00100020")}</Table.Td>
      <Table.Td>
        <Text size="sm">{day(text(ds, "00080020"))}</Text>
        <Text size="xs" c="dimmed">
          {timeOfDay(text(ds, "00080030"))}
        </Text>
      </Table.Td>
      <Table.Td>
        <Group gap={4}>
          {values(ds, "00080061").map((modality) => (
            <Badge key={String(modality)} variant="light" radius="sm" size="sm">
              {String(modality)}
            </Badge>
          ))}
        </Group>
      </Table.Td>
      <Table.Td className="medium">{text(ds, "00081030")}</Table.Td>
      <Table.Td className="wide">{text(ds, "00080050")}</Table.Td>
      <Table.Td className="widest">{name(ds, "00080090")}</Table.Td>
      <Table.Td className="number wide">{Number(text(ds, "00201208")).toLocaleString()}</Table.Td>
    </Table.Tr>
  );
}

export function StudyTable(props: Props) {
  const move = (event: KeyboardEvent) => {
    const index = props.studies.findIndex((study) => study.uid === props.current);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
    if (step !== undefined) {
      const next = props.studies[Math.max(0, Math.min(props.studies.length - 1, index + step))];
      if (next) props.onSelect(next.uid);
    } else if (event.key === "Enter" && props.current) props.onOpen(props.current);
    else if (event.key === " " && props.current) props.onMark(props.current);
    else return;
    event.preventDefault();
  };
  return (
    <Table.ScrollContainer minWidth={340} className="studies" tabIndex={0} onKeyDown={move} aria-label="Studies">
      <Table highlightOnHover stickyHeader verticalSpacing={6}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th className="mark" />
            {COLUMNS.map((column) => (
              <Header key={column.title} {...column} sorting={props.sorting} onSort={props.onSort} />
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {props.studies.map((study) => (
            <Row key={study.uid} study={study} {...props} />
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
