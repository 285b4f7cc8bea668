// The study list page.

import { ActionIcon, Alert, Badge, Button, Center, Group, Loader, Pagination, Select, Skeleton, Stack, Text, Title, Tooltip, useMantineColorScheme } from "@mantine/core";
import { useDebouncedValue, useDocumentTitle, useHotkeys } from "@mantine/hooks";
import { IconEye, IconMoon, IconPlugConnected, IconSun } from "@tabler/icons-react";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { type Filters, NO_FILTERS, searchStudies, server, type Sorting, viewer } from "./archive";
import { ConnectDialog } from "./ConnectDialog";
import { plural } from "./dicom";
import { FilterBar } from "./FilterBar";
import { useNews } from "./live";
import { Account } from "./signin/Account";
import { StudyDetails } from "./StudyDetails";
import { StudyTable } from "./StudyTable";
import { useIntake } from "./upload/intake";
import { UploadButton } from "./upload/UploadButton";
import { UploadPanel } from "./upload/UploadPanel";

const SIZES = ["25", "50", "100", "250"];
const NEWEST: Sorting = { keyword: "StudyDate", descending: true };

export function Portal() {
  useDocumentTitle("Studies – Open PACS");
  const [filters, setFilters] = useState<Filters>(NO_FILTERS);
  const [asked] = useDebouncedValue(filters, 250);
  const [sorting, setSorting] = useState(NEWEST);
  const [size, setSize] = useState(SIZES[1] ?? "50");
  const [number, setNumber] = useState(0);
  const [current, setCurrent] = useState<string | null>(null);
  const [marked, setMarked] = useState<ReadonlySet<string>>(new Set());
  const [connecting, setConnecting] = useState(false);
  const { colorScheme, toggleColorScheme } = useMantineColorScheme();
  const connection = useNews();
  const intake = useIntake();

  const described = useQuery({ queryKey: ["server"], queryFn: server, staleTime: Number.POSITIVE_INFINITY });
  const page = useQuery({
    queryKey: ["studies", asked, sorting, size, number],
    queryFn: ({ signal }) => searchStudies(asked, sorting, { size: Number(size), number }, signal),
    placeholderData: keepPreviousData,
  });
  const studies = page.data?.studies ?? [];
  const total = page.data?.total ?? 0;
  const selected = studies.find((study) => study.uid === current) ?? studies[0];
  const hasViewer = described.data?.viewer ?? false;

  useEffect(() => setNumber(0), [asked, sorting, size]);
  useHotkeys([["/", () => document.getElementById("filter-patient")?.focus()]]);

  const mark = (uid: string) => {
    const changed = new Set(marked);
    if (!changed.delete(uid)) changed.add(uid);
    setMarked(changed);
  };
  const open = (uids: string[]) => hasViewer && location.assign(viewer(uids));
  const isEmpty = page.isSuccess && total === 0;
  const isNew = isEmpty && JSON.stringify(asked) === JSON.stringify(NO_FILTERS);

  return (
    <div className="page">
      <Group component="header" className="header" wrap="nowrap">
        <img src="/icon.svg" alt="" width={26} height={26} />
        <Title order={1} size="h5">
          Open PACS
        </Title>
        <Text size="sm" c="dimmed" role="status" className="grow">
          {page.isSuccess && plural(total, "study")}
        </Text>
        <Tooltip label={connection === "live" ? "New studies appear by themselves" : "Waiting for the server"}>
          <Badge variant="dot" color={connection === "live" ? "teal" : "yellow"} className="wide">
            {connection === "live" ? "live" : "reconnecting"}
          </Badge>
        </Tooltip>
        <UploadButton take={intake.take} />
        <Button variant="default" size="xs" leftSection={<IconPlugConnected size={16} />} onClick={() => setConnecting(true)}>
          Connect
        </Button>
        <ActionIcon variant="subtle" onClick={toggleColorScheme} aria-label="Light or dark">
          {colorScheme === "dark" ? <IconSun size={18} /> : <IconMoon size={18} />}
        </ActionIcon>
        <Account />
      </Group>
      <FilterBar filters={filters} onChange={setFilters} />
      <main className="main">
        <Stack gap={0} className="list">
          {page.isError && (
            <Alert color="red" title="The list cannot be shown" m="md">
              {page.error.message}
            </Alert>
          )}
          {page.isPending && [1, 2, 3, 4, 5, 6].map((key) => <Skeleton key={key} height={44} mx="md" mt="sm" />)}
          {isEmpty && !isNew && (
            <Center className="grow">
              <Text c="dimmed">No study matches.</Text>
            </Center>
          )}
          {isNew && (
            <Center className="grow">
              <Stack align="center" gap="xs">
                <Title order={2} size="h4">
                  The archive is empty
                </Title>
                <Text c="dimmed">Drop files or folders here, or send images from a modality.</Text>
                <Button onClick={() => setConnecting(true)}>How to connect</Button>
              </Stack>
            </Center>
          )}
          {studies.length > 0 && (
            <StudyTable
              studies={studies}
              current={selected?.uid ?? null}
              marked={marked}
              sorting={sorting}
              onSort={setSorting}
              onSelect={setCurrent}
              onMark={mark}
              onOpen={(uid) => open([uid])}
            />
          )}
          <Group className="footer" justify="space-between">
            <Group gap="xs">
              {marked.size > 0 && (
                <Button size="xs" leftSection={<IconEye size={16} />} disabled={!hasViewer} onClick={() => open([...marked])}>
                  Open {plural(marked.size, "study")} together
                </Button>
              )}
              {page.isFetching && <Loader size="xs" aria-label="Loading" />}
            </Group>
            <Group gap="sm">
              <Pagination
                total={Math.max(1, Math.ceil(total / Number(size)))}
                value={number + 1}
                onChange={(value) => setNumber(value - 1)}
                size="sm"
              />
              <Select
                aria-label="Studies a page"
                data={SIZES.map((value) => ({ value, label: `${value} a page` }))}
                value={size}
                onChange={(value) => value && setSize(value)}
                size="xs"
                w={120}
                allowDeselect={false}
              />
            </Group>
          </Group>
        </Stack>
        {selected && <StudyDetails key={selected.uid} study={selected} hasViewer={hasViewer} />}
      </main>
      <UploadPanel intake={intake} study={selected} hasViewer={hasViewer} />
      {described.data && <ConnectDialog server={described.data} opened={connecting} onClose={() => setConnecting(false)} />}
    </div>
  );
}
