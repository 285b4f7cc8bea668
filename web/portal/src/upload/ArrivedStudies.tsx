// Links to the studies that something has arrived in.

import { Anchor, Group, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";

import { studiesByUid, viewer } from "../archive";
import { day, name, text } from "../dicom";

const MOST = 12;

export function ArrivedStudies({ uids, hasViewer }: { uids: readonly string[]; hasViewer: boolean }) {
  const shown = uids.slice(0, MOST);
  const studies = useQuery({
    queryKey: ["arrived", shown],
    queryFn: ({ signal }) => studiesByUid(shown, signal),
    enabled: shown.length > 0,
    placeholderData: (before) => before,
  });
  if (!studies.data?.length) return null;
  return (
    <Group gap="xs" wrap="wrap" component="nav" aria-label="Studies that arrived">
      {studies.data.map(({ uid, ds }) => {
        const words = [name(ds, "00100010") || "No name", text(ds, "00081030"), day(text(ds, "00080020"))].filter(Boolean).join(" · ");
        return hasViewer ? (
          <Anchor key={uid} size="sm" href={viewer([uid])} target="_blank" className="arrived">
            {words}
          </Anchor>
        ) : (
          <Text key={uid} size="sm" className="arrived">
            {words}
          </Text>
        );
      })}
      {uids.length > MOST && (
        <Text size="sm" c="dimmed">
          and {(uids.length - MOST).toLocaleString()} more
        </Text>
      )}
    </Group>
  );
}
