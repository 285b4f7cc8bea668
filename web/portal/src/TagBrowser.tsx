// All attributes of one instance, searchable; sequences indented.

import { Modal, ScrollArea, Select, Stack, Table, Text, TextInput } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";

import { instancesOf, metadataOf } from "./archive";
import { type DataSet, type Element, personName, text } from "./dicom";
import { useKeywords } from "./keywords";

interface Line {
  key: string;
  depth: number;
  tag: string;
  vr: string;
  value: string;
}

const shown = (element: Element): string => {
  if (element.BulkDataURI) return "(bulk data)";
  if (element.InlineBinary) return `(binary, ${Math.floor((element.InlineBinary.length * 3) / 4).toLocaleString()} bytes)`;
  const all = element.Value ?? [];
  if (element.vr === "SQ") return all.length === 1 ? "1 item" : `${all.length} items`;
  return all.map((value) => (element.vr === "PN" ? personName(value) : String(value ?? ""))).join(" \\ ");
};

function lines(ds: DataSet, depth = 0, prefix = ""): Line[] {
  // An object puts keys that look like numbers first, so the order of tags is made here.
  const ascending = Object.entries(ds).sort(([one], [other]) => (one < other ? -1 : 1));
  return ascending.flatMap(([tag, element]) => {
    const key = `${prefix}${tag}`;
    const line = { key, depth, tag: `(${tag.slice(0, 4)},${tag.slice(4)})`, vr: element.vr, value: shown(element) };
    const items = element.vr === "SQ" ? ((element.Value ?? []) as DataSet[]) : [];
    return [line, ...items.flatMap((item, index) => lines(item, depth + 1, `${key}.${index}.`))];
  });
}

interface Props {
  study: string;
  series: string;
  onClose: () => void;
}

export function TagBrowser({ study, series, onClose }: Props) {
  const [chosen, choose] = useState<string | null>(null);
  const [term, setTerm] = useState("");
  const keywords = useKeywords();
  const instances = useQuery({ queryKey: ["instances", series], queryFn: ({ signal }) => instancesOf(study, series, signal) });
  const instance = chosen ?? text(instances.data?.[0] ?? {}, "00080018");
  const metadata = useQuery({
    queryKey: ["metadata", instance],
    queryFn: () => metadataOf(study, series, instance),
    enabled: instance !== "",
  });
  const all = useMemo(() => lines(metadata.data ?? {}), [metadata.data]);
  const wanted = term.trim().toLowerCase();
  const keyword = (line: Line) => keywords[line.tag.replace(/[(),]/g, "")] ?? "";
  const found = all.filter((line) => !wanted || `${line.tag} ${keyword(line)} ${line.value}`.toLowerCase().includes(wanted));
  return (
    <Modal opened onClose={onClose} size="xl" title="Attributes" scrollAreaComponent={ScrollArea.Autosize}>
      <Stack gap="sm">
        <Select
          aria-label="Instance"
          data={(instances.data ?? []).map((ds, index) => ({
            value: text(ds, "00080018"),
            label: `Instance ${text(ds, "00200013") || index + 1} of ${instances.data?.length}`,
          }))}
          value={instance || null}
          onChange={choose}
          searchable
        />
        <TextInput
          aria-label="Find an attribute"
          placeholder="Find a tag, a keyword or a value"
          leftSection={<IconSearch size={16} />}
          value={term}
          onChange={(event) => setTerm(event.currentTarget.value)}
          data-autofocus
        />
        {metadata.isError && <Text c="red.4">{metadata.error.message}</Text>}
        <Table className="tags" verticalSpacing={2}>
          <Table.Tbody>
            {found.map((line) => (
              <Table.Tr key={line.key}>
                <Table.Td style={{ paddingInlineStart: 8 + line.depth * 18 }} className="tag">
                  {line.tag}
                </Table.Td>
                <Table.Td>{line.vr}</Table.Td>
                <Table.Td>{keyword(line)}</Table.Td>
                <Table.Td className="value">{line.value}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Stack>
    </Modal>
  );
}
