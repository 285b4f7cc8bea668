// The study list page: what is asked for, what was found, and the study that is looked at.

import { Stack } from "@mantine/core";
import { useDebouncedValue, useDocumentTitle, useHotkeys } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { useFetchAhead } from "./ahead";
import { server, viewer } from "./archive";
import { ConnectDialog } from "./ConnectDialog";
import { plural, values } from "./dicom";
import { FilterBar } from "./FilterBar";
import { KeysDialog } from "./KeysDialog";
import { ListFooter } from "./ListFooter";
import { useNews } from "./live";
import { PageHeader } from "./PageHeader";
import { searchStudies } from "./search";
import { StudyDetails } from "./StudyDetails";
import { StudyList } from "./StudyList";
import { TABLE_ID } from "./StudyTable";
import { useIntake } from "./upload/intake";
import { UploadButton } from "./upload/UploadButton";
import { UploadPanel } from "./upload/UploadPanel";
import { useView } from "./view";

const NOBODY: ReadonlySet<string> = new Set();
const focus = (id: string) => document.getElementById(id)?.focus();
const showDetails = () => document.querySelector(".details")?.scrollIntoView({ behavior: "smooth", block: "end" });

export function Portal() {
  useDocumentTitle("Studies – Open PACS");
  const [view, change] = useView();
  const [asked] = useDebouncedValue(view.filters, 250);
  const [marked, setMarked] = useState(NOBODY);
  const [dialog, setDialog] = useState<"connect" | "keys" | null>(null);
  const connection = useNews();
  const intake = useIntake();

  const described = useQuery({ queryKey: ["server"], queryFn: server, staleTime: Number.POSITIVE_INFINITY });
  const found = useQuery({
    queryKey: ["studies", asked, view.sorting, view.size, view.page],
    queryFn: ({ signal }) => searchStudies(asked, view, signal),
    placeholderData: keepPreviousData,
  });
  const studies = found.data?.studies ?? [];
  const total = found.data?.total ?? 0;
  const selected = studies.find((study) => study.uid === view.study) ?? studies[0];
  const hasViewer = described.data?.viewer ?? false;
  useFetchAhead(hasViewer && found.isSuccess);
  const lastPage = Math.max(0, Math.ceil(total / view.size) - 1);

  const search = () => focus("filter-patient");
  const explain = () => setDialog("keys");
  // Which of them needs the shift key depends on the keyboard.
  useHotkeys([
    ["/", search],
    ["shift+/", search],
    ["?", explain],
    ["shift+?", explain],
  ]);

  const mark = (uid: string) => {
    const changed = new Set(marked);
    if (!changed.delete(uid)) changed.add(uid);
    setMarked(changed);
  };
  const open = (uids: string[]) => hasViewer && location.assign(viewer(uids));
  const select = (study: string) => {
    change({ study }, "study");
    // On a phone what is known of the study, and the button that opens it, stand below the list.
    if (matchMedia("(max-width: 760px)").matches) requestAnimationFrame(showDetails);
  };
  const turn = (page: number) => change({ page: Math.max(0, Math.min(lastPage, page)), study: "" }, `page ${page}`);

  return (
    <div className="page">
      <PageHeader
        told={found.isSuccess ? plural(total, "study") : ""}
        connection={connection}
        upload={<UploadButton take={intake.take} />}
        onConnect={() => setDialog("connect")}
        onKeys={() => setDialog("keys")}
      />
      <FilterBar
        filters={view.filters}
        parts={studies.flatMap((study) => values(study.ds, "00180015").map(String))}
        onChange={(filters, what) => change({ filters, page: 0 }, what)}
        onEnter={() => focus(TABLE_ID)}
      />
      <main className="main">
        <Stack gap={0} className="list">
          <StudyList
            found={found}
            studies={studies}
            view={view}
            current={selected?.uid ?? null}
            marked={marked}
            onChange={change}
            onSelect={select}
            onMark={mark}
            onOpen={(uid) => open([uid])}
            onTurn={(step) => turn(view.page + step)}
            onConnect={() => setDialog("connect")}
          />
          <ListFooter
            total={total}
            page={view.page}
            size={view.size}
            marked={marked.size}
            hasViewer={hasViewer}
            isBusy={found.isFetching}
            onPage={turn}
            onSize={(size) => change({ size, page: 0 }, "size")}
            onOpen={() => open([...marked])}
            onUnmark={() => setMarked(NOBODY)}
          />
        </Stack>
        {selected && <StudyDetails key={selected.uid} study={selected} hasViewer={hasViewer} />}
      </main>
      <UploadPanel intake={intake} study={selected} hasViewer={hasViewer} />
      {described.data && <ConnectDialog server={described.data} opened={dialog === "connect"} onClose={() => setDialog(null)} />}
      <KeysDialog opened={dialog === "keys"} onClose={() => setDialog(null)} />
    </div>
  );
}
