// The files one by one: refusals with their reasons first, then what moves. Thousands that wait or are done are counted.

import { Group, Progress, Text } from "@mantine/core";
import { IconCircleX } from "@tabler/icons-react";

import { plural } from "../dicom";
import type { Item, Snapshot } from "./queue";
import { bytes } from "./words";

const MOST_REFUSED = 200;
const MOST_MOVING = 50;

function Moving({ item }: { item: Item }) {
  const share = item.file.size ? (100 * item.sent) / item.file.size : 100;
  const state = { sending: "", storing: "being stored", waiting: "waiting", done: "", refused: "", failed: "" }[item.state];
  return (
    <Group gap="sm" wrap="nowrap" className="upload">
      <Text size="sm" truncate className="grow" title={item.path}>
        {item.path}
      </Text>
      <Text size="xs" c="dimmed" className="numbers">
        {item.note || state || `${bytes(item.sent)} of ${bytes(item.file.size)}`}
      </Text>
      <Progress value={share} size="sm" w={120} aria-label={`Upload of ${item.file.name}`} />
    </Group>
  );
}

export function UploadList({ snapshot }: { snapshot: Snapshot }) {
  const { refused, items, counts } = snapshot;
  const moving = items.filter((item) => item.state === "sending" || item.state === "storing").slice(0, MOST_MOVING);
  return (
    <div className="upload-list">
      {refused.length > 0 && (
        <ul aria-label="Refused files">
          {refused.slice(0, MOST_REFUSED).map((one) => (
            <li key={one.key}>
              <IconCircleX size={16} className="bad" />
              <Text size="sm" component="span" fw={600} className="path">
                {one.name}
              </Text>
              <Text size="sm" component="span" c="dimmed">
                {one.reason}
              </Text>
            </li>
          ))}
        </ul>
      )}
      {refused.length > MOST_REFUSED && (
        <Text size="xs" c="dimmed">
          and {plural(refused.length - MOST_REFUSED, "file")} more
        </Text>
      )}
      {moving.map((item) => (
        <Moving key={item.key} item={item} />
      ))}
      {counts.waiting > 0 && (
        <Text size="xs" c="dimmed">
          {plural(counts.waiting, "file")} waiting
        </Text>
      )}
    </div>
  );
}
