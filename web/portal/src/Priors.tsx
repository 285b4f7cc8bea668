// The patient's earlier studies, those first that matter most for the selected one; a click opens both side by side.

import { Badge, Button, Group, Progress, Skeleton, Stack, Text, Tooltip, UnstyledButton } from "@mantine/core";
import { IconFileText } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import type { components } from "./api";
import { priorsOf } from "./archive";
import { day, plural } from "./dicom";
import "./priors.css";

type Prior = components["schemas"]["Prior"];

const AT_FIRST = 4;
const DAYS_OF_MONTH = 30.44;
const DAYS_OF_YEAR = 365.25;

/** What earns points, in the order of the rule, and how many there are at most. */
const POINTS: [keyof Prior["points"] & string, string, number][] = [
  ["region", "Body region", 45],
  ["modality", "Modality", 20],
  ["recency", "How recent", 20],
  ["laterality", "Side", 10],
  ["report", "Report", 5],
];

export function earlier(days: number | null): string {
  if (days === null) return "date unknown";
  if (days < 1) return "same day";
  if (days < 14) return `${plural(days, "day")} earlier`;
  if (days < 2 * DAYS_OF_MONTH) return `${plural(Math.round(days / 7), "week")} earlier`;
  if (days < 2 * DAYS_OF_YEAR) return `${plural(Math.round(days / DAYS_OF_MONTH), "month")} earlier`;
  return `${plural(Math.round(days / DAYS_OF_YEAR), "year")} earlier`;
}

const side: Record<string, string> = { L: "left", R: "right", B: "both sides" };

function Reasons({ prior, hasViewer }: { prior: Prior; hasViewer: boolean }) {
  return (
    <table className="reasons">
      {hasViewer && <caption>Open both side by side</caption>}
      <tbody>
        {POINTS.map(([key, label, most]) => (
          <tr key={key}>
            <td>{label}</td>
            <td>
              {prior.points[key] ?? 0} of {most}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Row({ prior, hasViewer }: { prior: Prior; hasViewer: boolean }) {
  const shown = [prior.regions.join(", "), side[prior.laterality]].filter(Boolean).join(", ");
  const score = Math.round(prior.score);
  const row = (
    <>
      <Group gap={6} wrap="nowrap" justify="space-between">
        <Text size="sm" fw={600} truncate>
          {prior.StudyDescription || shown || "No description"}
        </Text>
        <Group gap={4} wrap="nowrap" flex="none">
          {prior.has_report && <IconFileText size={16} aria-label="has a report" />}
          {prior.ModalitiesInStudy.map((modality) => (
            <Badge key={modality} variant="light" radius="sm" size="sm" flex="none">
              {modality}
            </Badge>
          ))}
        </Group>
      </Group>
      <Group gap={8} wrap="nowrap" justify="space-between">
        <Text size="xs" c="dimmed" truncate>
          {[day(prior.StudyDate), earlier(prior.days)].filter(Boolean).join(" · ")}
        </Text>
        <Progress value={score} size="sm" className="relevance" aria-label={`Relevance ${score} of 100`} />
      </Group>
    </>
  );
  const how = { className: "prior", "data-uid": prior.StudyInstanceUID };
  return (
    <Tooltip label={<Reasons prior={prior} hasViewer={hasViewer} />} position="left" openDelay={400} events={{ hover: true, focus: true, touch: false }}>
      {hasViewer ? (
        <UnstyledButton component="a" href={prior.viewer} {...how}>
          {row}
        </UnstyledButton>
      ) : (
        <div {...how}>{row}</div>
      )}
    </Tooltip>
  );
}

export function Priors({ study, hasViewer }: { study: string; hasViewer: boolean }) {
  const [everything, setEverything] = useState(false);
  useEffect(() => setEverything(false), [study]);
  const found = useQuery({
    queryKey: ["priors", study, everything],
    queryFn: ({ signal }) => priorsOf(study, everything, signal),
    placeholderData: (before) => (before?.StudyInstanceUID === study ? before : undefined),
  });
  if (found.isPending) return <Skeleton height={44} aria-label="Earlier studies" />;
  if (found.isError) return <Text c="red.4">{found.error.message}</Text>;
  const { priors, hidden } = found.data;
  const total = priors.length + hidden;
  if (total === 0) return null;
  const shown = everything ? priors : priors.slice(0, AT_FIRST);
  return (
    <Stack gap={4} component="section" aria-label="Earlier studies" className="priors">
      <Text size="sm" fw={600}>
        Earlier studies
      </Text>
      {shown.map((prior) => (
        <Row key={prior.StudyInstanceUID} prior={prior} hasViewer={hasViewer} />
      ))}
      {(shown.length < total || everything) && (
        <Button variant="subtle" size="compact-xs" onClick={() => setEverything(!everything)} className="more-priors">
          {everything ? "Show fewer" : `Show all ${total}`}
        </Button>
      )}
    </Stack>
  );
}
