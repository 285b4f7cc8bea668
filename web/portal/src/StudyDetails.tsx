// The selected study: who, what, its series with pictures, and what can be done with it.

import { Anchor, Badge, Button, Group, Image, ScrollArea, SimpleGrid, Skeleton, Stack, Text, Title, UnstyledButton } from "@mantine/core";
import { IconEye } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { type Study, seriesOf, thumbnail, viewer, zip } from "./archive";
import { age, type DataSet, day, name, plural, sex, text, timeOfDay, values } from "./dicom";
import { Priors } from "./Priors";
import { TagBrowser } from "./TagBrowser";
import { partName, statusOf } from "./words";

const NO_PICTURE =
  "data:image/svg+xml," +
  encodeURIComponent(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96"><path d="M30 34h36v28H30zM36 56l9-11 7 8 5-5 6 8" fill="none" stroke="#617888" stroke-width="2"/></svg>',
  );

interface Props {
  study: Study;
  hasViewer: boolean;
}

function Series({ study, ds, onTags }: { study: string; ds: DataSet; onTags: (series: string) => void }) {
  const uid = text(ds, "0020000E");
  const count = Number(text(ds, "00201209"));
  const part = text(ds, "00180015") && partName(text(ds, "00180015"));
  return (
    <UnstyledButton className="series" onClick={() => onTags(uid)} title="Show the attributes of an instance">
      <Image src={thumbnail(study, uid)} fallbackSrc={NO_PICTURE} alt="" fit="contain" className="picture" loading="lazy" />
      <Text size="sm" fw={600} lineClamp={2}>
        {text(ds, "0008103E") || `Series ${text(ds, "00200011")}`}
      </Text>
      <Text size="xs" c="dimmed">
        {[text(ds, "00080060"), part, plural(count, "image")].filter(Boolean).join(" · ")}
      </Text>
    </UnstyledButton>
  );
}

/** What is known, each in one piece, so that lines break between them. */
function Facts({ of }: { of: string[] }) {
  return (
    <Text size="sm" c="dimmed" className="facts">
      {of.filter(Boolean).map((fact, index, all) => (
        <span key={fact}>
          {fact}
          {index < all.length - 1 && " ·"}
        </span>
      ))}
    </Text>
  );
}

export function StudyDetails({ study, hasViewer }: Props) {
  const [tags, setTags] = useState<string | null>(null);
  const series = useQuery({ queryKey: ["series", study.uid], queryFn: ({ signal }) => seriesOf(study.uid, signal) });
  const { ds, uid } = study;
  const status = statusOf(ds);
  const parts = values(ds, "00180015").map((part) => partName(String(part)));
  const born = text(ds, "00100030");
  const when = text(ds, "00080020");
  const who = [text(ds, "00100020"), born && `born ${day(born)}`, sex(text(ds, "00100040")), age(born, when)];
  return (
    <Stack component="section" className="details" gap="sm" aria-label="Selected study">
      <div>
        <Title order={2} size="h4">
          {name(ds, "00100010") || "No name"}
        </Title>
        <Facts of={who} />
      </div>
      <div>
        <Group gap="xs" wrap="nowrap" justify="space-between">
          <Text size="sm" fw={600} truncate>
            {text(ds, "00081030") || "No description"}
          </Text>
          <Badge variant="dot" color={status.color} className="reading-status">
            {status.label}
          </Badge>
        </Group>
        <Facts of={[`${day(when)} ${timeOfDay(text(ds, "00080030"))}`.trim(), text(ds, "00080050") && `accession ${text(ds, "00080050")}`]} />
        <Facts
          of={[
            ...parts,
            plural(Number(text(ds, "00201206")), "series"),
            plural(Number(text(ds, "00201208")), "image"),
            name(ds, "00080090") && `for ${name(ds, "00080090")}`,
          ]}
        />
      </div>
      <Group gap={6}>
        <Button component="a" href={viewer([uid])} disabled={!hasViewer} px="sm" leftSection={<IconEye size={18} />}>
          Open
        </Button>
        <Button component="a" href={zip(uid)} download={`${text(ds, "00100020") || "study"}.zip`} variant="default" px="xs">
          Download
        </Button>
        <Button variant="default" px="xs" disabled={!series.data?.length} onClick={() => setTags(text(series.data?.[0] ?? {}, "0020000E"))}>
          Attributes
        </Button>
      </Group>
      {!hasViewer && (
        <Text size="xs" c="dimmed">
          The viewer is not installed: <code>make web</code> installs it.
        </Text>
      )}
      <ScrollArea className="grow" type="auto" offsetScrollbars="present">
        {series.isError && <Text c="red.4">{series.error.message}</Text>}
        <Priors study={uid} hasViewer={hasViewer} />
        <SimpleGrid cols={2} spacing="xs">
          {series.isPending && [1, 2, 3, 4].map((key) => <Skeleton key={key} height={170} />)}
          {series.data?.map((one) => (
            <Series key={text(one, "0020000E")} study={uid} ds={one} onTags={setTags} />
          ))}
        </SimpleGrid>
      </ScrollArea>
      <Anchor size="xs" c="dimmed" href={`/dicomweb/studies/${uid}/metadata`} target="_blank" className="uid">
        {uid}
      </Anchor>
      {tags && <TagBrowser study={uid} series={tags} onClose={() => setTags(null)} />}
    </Stack>
  );
}
