// Below the list: what is marked, where in the list one is, and the way to its other pages.

import { ActionIcon, Button, Group, Loader, Pagination, Select, Text, Tooltip } from "@mantine/core";
import { IconEye, IconX } from "@tabler/icons-react";

import { plural } from "./dicom";
import { SIZES } from "./view";

interface Props {
  total: number;
  page: number;
  size: number;
  marked: number;
  hasViewer: boolean;
  isBusy: boolean;
  onPage: (page: number) => void;
  onSize: (size: number) => void;
  onOpen: () => void;
  onUnmark: () => void;
}

const written = (count: number): string => count.toLocaleString();

export function ListFooter({ total, page, size, marked, ...on }: Props) {
  const pages = Math.max(1, Math.ceil(total / size));
  const first = page * size + 1;
  return (
    <Group className="footer" justify="space-between">
      <Group gap="xs">
        {marked > 0 && (
          <>
            <Button size="xs" leftSection={<IconEye size={16} />} disabled={!on.hasViewer} onClick={on.onOpen}>
              Open {plural(marked, "study")} together
            </Button>
            <Tooltip label="Mark none">
              <ActionIcon variant="subtle" onClick={on.onUnmark} aria-label="Mark none">
                <IconX size={16} />
              </ActionIcon>
            </Tooltip>
          </>
        )}
        {total > 0 && (
          <Text size="sm" c="dimmed">
            {written(first)}–{written(Math.min(total, first + size - 1))} of {written(total)}
          </Text>
        )}
        {on.isBusy && <Loader size="xs" aria-label="Loading" />}
      </Group>
      <Group gap="sm">
        {pages > 1 && (
          <Pagination
            total={pages}
            value={page + 1}
            onChange={(value) => on.onPage(value - 1)}
            size="sm"
            siblings={1}
            getItemProps={(value) => ({ "aria-label": `Page ${value}` })}
            getControlProps={(control) => ({ "aria-label": control === "next" ? "Next page" : "Previous page" })}
          />
        )}
        <Select
          aria-label="Studies a page"
          data={SIZES.map((value) => ({ value: String(value), label: `${value} a page` }))}
          value={String(size)}
          onChange={(value) => value && on.onSize(Number(value))}
          size="xs"
          w={120}
          allowDeselect={false}
          className="wide"
        />
      </Group>
    </Group>
  );
}
