// The study list: one row a study, sorted by the server, moved through by keyboard.

import { Table, UnstyledButton } from "@mantine/core";
import { IconArrowDown, IconArrowUp } from "@tabler/icons-react";
import type { KeyboardEvent } from "react";

import type { Study } from "./archive";
import type { Sorting } from "./search";
import { rowId, StudyRow } from "./StudyRow";

const COLUMNS: { title: string; keyword?: string; className?: string }[] = [
  { title: "Patient", keyword: "PatientName" },
  { title: "Patient ID", keyword: "PatientID", className: "id wider" },
  { title: "Study date", keyword: "StudyDate", className: "date" },
  { title: "Status", className: "reading medium" },
  { title: "Modality", className: "modality" },
  { title: "Description", keyword: "StudyDescription", className: "medium" },
  { title: "Body part", className: "part wide" },
  { title: "Accession", keyword: "AccessionNumber", className: "accession wide" },
  { title: "Referring", keyword: "ReferringPhysicianName", className: "widest" },
  { title: "Images", className: "number images wider" },
];

export const TABLE_ID = "studies";

interface Props {
  studies: Study[];
  current: string | null;
  marked: ReadonlySet<string>;
  sorting: Sorting;
  onSort: (sorting: Sorting) => void;
  onSelect: (uid: string) => void;
  onMark: (uid: string) => void;
  onOpen: (uid: string) => void;
  /** To the page before (-1) or behind (1). */
  onTurn: (step: number) => void;
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
          {active && <Arrow size={14} aria-hidden />}
        </UnstyledButton>
      ) : (
        title
      )}
    </Table.Th>
  );
}

const STEPS: Record<string, number> = {
  ArrowDown: 1,
  ArrowUp: -1,
  PageDown: 10,
  PageUp: -10,
  Home: Number.NEGATIVE_INFINITY,
  End: Number.POSITIVE_INFINITY,
};

export function StudyTable({ studies, current, marked, sorting, ...on }: Props) {
  const press = (event: KeyboardEvent) => {
    // Keys on the buttons of the head and on check boxes are theirs.
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = STEPS[event.key];
    if (step !== undefined) {
      const index = studies.findIndex((study) => study.uid === current);
      const next = studies[Math.max(0, Math.min(studies.length - 1, index + step))];
      if (next) on.onSelect(next.uid);
    } else if (event.key === "ArrowRight" || event.key === "ArrowLeft") on.onTurn(event.key === "ArrowRight" ? 1 : -1);
    else if (event.key === "Enter" && current) on.onOpen(current);
    else if (event.key === " " && current) on.onMark(current);
    else return;
    event.preventDefault();
  };
  return (
    <div className="studies">
      <Table
        id={TABLE_ID}
        role="grid"
        aria-label="Studies"
        aria-multiselectable={false}
        aria-activedescendant={current ? rowId(current) : undefined}
        tabIndex={0}
        onKeyDown={press}
        highlightOnHover
        stickyHeader
        verticalSpacing={6}
      >
        <Table.Thead>
          <Table.Tr>
            <Table.Th className="mark" aria-label="Marked" />
            {COLUMNS.map((column) => (
              <Header key={column.title} {...column} sorting={sorting} onSort={on.onSort} />
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {studies.map((study) => (
            <StudyRow
              key={study.uid}
              study={study}
              isCurrent={study.uid === current}
              isMarked={marked.has(study.uid)}
              onSelect={on.onSelect}
              onMark={on.onMark}
              onOpen={on.onOpen}
            />
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}
