// The search boxes above the study list.

import { ActionIcon, Button, Group, MultiSelect, Select, TextInput, Tooltip } from "@mantine/core";
import { DatePickerInput } from "@mantine/dates";
import { IconAdjustmentsHorizontal, IconFilterOff, IconSearch } from "@tabler/icons-react";
import dayjs from "dayjs";
import { type KeyboardEvent, useState } from "react";

import { countUsed, type Filters, NO_FILTERS } from "./search";
import { modalityChoices, modalityName, partChoices, STATUSES } from "./words";

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
  /** Body parts of the studies on the screen. */
  parts: Iterable<string>;
  /** `what` names the box, so that typing into one is one step back. */
  onChange: (filters: Filters, what: string) => void;
  /** Leads from the first box into the list. */
  onEnter: () => void;
}

export function FilterBar({ filters, parts, onChange, onEnter }: Props) {
  const [isOpen, setOpen] = useState(false);
  const set = (change: Partial<Filters>) => onChange({ ...filters, ...change }, Object.keys(change).join());
  const enter = (event: KeyboardEvent) => {
    if (event.key !== "Enter" && event.key !== "ArrowDown") return;
    event.preventDefault();
    onEnter();
  };
  const box = (label: string, key: "patient" | "accession" | "description" | "referring", short = label) => (
    <TextInput
      aria-label={label}
      placeholder={short}
      title={label}
      value={filters[key]}
      onChange={(event) => set({ [key]: event.currentTarget.value })}
      onKeyDown={enter}
      leftSection={key === "patient" ? <IconSearch size={16} /> : undefined}
      id={`filter-${key}`}
      autoComplete="off"
      spellCheck={false}
      className={key === "patient" ? "filter" : "filter more"}
    />
  );
  const used = countUsed(filters);
  return (
    <Group component="search" gap="xs" wrap="wrap" className="filters" data-open={isOpen}>
      {box("Patient name or ID", "patient")}
      <Button
        variant={used ? "light" : "default"}
        className="narrow"
        leftSection={<IconAdjustmentsHorizontal size={16} />}
        aria-expanded={isOpen}
        onClick={() => setOpen(!isOpen)}
      >
        {used ? `Filters (${used})` : "Filters"}
      </Button>
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
        className="filter more"
      />
      <MultiSelect
        aria-label="Modality"
        placeholder={filters.modalities.length ? undefined : "Modality"}
        data={[...new Set([...modalityChoices, ...filters.modalities])]}
        renderOption={({ option }) => (
          <span>
            <b>{option.value}</b> {modalityName(option.value) !== option.value && modalityName(option.value)}
          </span>
        )}
        filter={({ options, search }) =>
          options.filter((one) => "value" in one && `${one.value} ${modalityName(one.value)}`.toLowerCase().includes(search.trim().toLowerCase()))
        }
        value={filters.modalities}
        onChange={(modalities) => set({ modalities })}
        comboboxProps={{ width: 260, position: "bottom-start" }}
        searchable
        clearable
        className="filter more"
      />
      <MultiSelect
        aria-label="Body part"
        placeholder={filters.parts.length ? undefined : "Body part"}
        data={partChoices([...parts, ...filters.parts])}
        value={filters.parts}
        onChange={(chosen) => set({ parts: chosen })}
        searchable
        clearable
        className="filter more"
      />
      <Select
        aria-label="Status"
        placeholder="Any status"
        data={STATUSES.map(({ value, label }) => ({ value, label }))}
        value={filters.status || null}
        onChange={(status) => set({ status: status ?? "" })}
        clearable
        className="filter more status"
      />
      {box("Description", "description")}
      {box("Accession number", "accession", "Accession")}
      {box("Referring physician", "referring", "Referring")}
      <Tooltip label="Clear all filters">
        <ActionIcon
          variant="subtle"
          size="lg"
          disabled={!used}
          onClick={() => onChange(NO_FILTERS, "clear")}
          aria-label="Clear all filters"
        >
          <IconFilterOff size={18} />
        </ActionIcon>
      </Tooltip>
    </Group>
  );
}
