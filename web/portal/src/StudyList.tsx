// The list with all that can stand in its place.

import type { UseQueryResult } from "@tanstack/react-query";

import type { Study } from "./archive";
import { Coming, Failed, NoMatch, Nothing } from "./ListStates";
import { countUsed, NO_FILTERS, type Page } from "./search";
import { StudyTable } from "./StudyTable";
import type { Change, View } from "./view";

interface Props {
  found: UseQueryResult<Page>;
  studies: Study[];
  view: View;
  current: string | null;
  marked: ReadonlySet<string>;
  onChange: Change;
  onSelect: (uid: string) => void;
  onMark: (uid: string) => void;
  onOpen: (uid: string) => void;
  onTurn: (step: number) => void;
  onConnect: () => void;
}

export function StudyList({ found, studies, view, current, marked, onChange, ...on }: Props) {
  const isEmpty = found.isSuccess && found.data.total === 0;
  const isFiltered = countUsed(view.filters) > 0;
  return (
    <>
      {found.isError && (
        <Failed
          reason={found.error.message}
          isTrying={found.isFetching}
          isStale={studies.length > 0}
          onRetry={() => void found.refetch()}
        />
      )}
      {found.isPending && <Coming />}
      {isEmpty && isFiltered && <NoMatch onClear={() => onChange({ filters: NO_FILTERS, page: 0 }, "clear")} />}
      {isEmpty && !isFiltered && <Nothing onConnect={on.onConnect} />}
      {studies.length > 0 && (
        <StudyTable
          studies={studies}
          current={current}
          marked={marked}
          sorting={view.sorting}
          onSort={(sorting) => onChange({ sorting, page: 0 }, `sort ${sorting.keyword}`)}
          onSelect={on.onSelect}
          onMark={on.onMark}
          onOpen={on.onOpen}
          onTurn={on.onTurn}
        />
      )}
    </>
  );
}
