// The search boxes above the study list.

import { ActionIcon, Group, MultiSelect, TextInput, Tooltip } from "@mantine/core";
import { DatePickerInput } from "@mantine/dates";
import { IconFilterOff, IconSearch } from "@tabler/icons-react";
import dayjs from "dayjs";

import { type Filters, NO_FILTERS } from "./archive";

const MODALITIES = ["CR", "CT", "DX", "ECG", "ES", "IVUS", "MG", "MR", "NM", "OP", "OPT", "OT", "PT", "RF", "SC", "SM", "SR", "US", "XA", "XC"];

const today = () => dayjs();
const date = (at: dayjs.Dayjs): string => at.format("YYYY-MM-DD");
const presets = (): { label: string; value: [string, string] }[] => [
  { label: "Today", value: [date(today()), date(today())] },
  { label: "Yesterday", value: [date(today().subtract(1, "day")), date(today().subtract(1, "day"))] },
  { label: "Last 7 days", value: [date(today().subtract(6, "day")), date(today())] },
  { label: "Last 30 days", value: [date(today().subtract(29, "day")), date(today())] },
  { label: "This year", value: [date(today().startOf("year")), date(today())] },
  { label: "Last 5 years", value: [date(today().subtract(5, "year")), date(today())] },
];

const da = (iso: string | null): string => (iso ?? "").replaceAll("-", "");
const iso = (value: string): string | null => (value ? `${value.slice(0, 4)}-${value.slice(4, 6)}-${value.slice(6)}` : null);

interface Props {
  filters: Filters;
  onChange: (filters: Filters) => void;
}

export function FilterBar({ filters, onChange }: Props) {
  const set = (change: Partial<Filters>) => onChange({ ...filters, ...change });
  const box = (label: string, key: "patient" | "accession" | "description" | "referring") => (
    <TextInput
      aria-label={label}
      placeholder={label}
      value={filters[key]}
      onChange={(event) => set({ [key]: event.currentTarget.value })}
      leftSection={key === "patient" ? <IconSearch size={16} /> : undefined}
      data-autofocus={key === "patient" || undefined}
      id={`filter-${key}`}
      autoComplete="off"
      className="filter"
    />
  );
  const used = JSON.stringify(filters) !== JSON.stringify(NO_FILTERS);
  return (
    <Group gap="xs" wrap="wrap" className="filters" role="search">
      {box("Patient name or ID", "patient")}
      <DatePickerInput
        type="range"
        aria-label="Study date"
        placeholder="Any date"
        value={[iso(filters.from), iso(filters.until)]}
        onChange={([from, until]) => set({ from: da(from), until: da(until) })}
        presets={presets()}
        valueFormat="D MMM YYYY"
        allowSingleDateInRange
        clearable
        className="filter"
      />
      <MultiSelect
        aria-label="Modality"
        placeholder={filters.modalities.length ? undefined : "Modality"}
        data={MODALITIES}
        value={filters.modalities}
        onChange={(modalities) => set({ modalities })}
        searchable
        clearable
        className="filter"
      />
      {box("Description", "description")}
      {box("Accession number", "accession")}
      {box("Referring physician", "referring")}
      <Tooltip label="Clear all filters">
        <ActionIcon variant="subtle" size="lg" disabled={!used} onClick={() => onChange(NO_FILTERS)} aria-label="Clear all filters">
          <IconFilterOff size={18} />
        </ActionIcon>
      </Tooltip>
    </Group>
  );
}
