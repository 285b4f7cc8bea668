// What is on its way: a strip below the list, with as much detail as one wants.

import { ActionIcon, Button, Group, Progress, Stack, Text, Tooltip } from "@mantine/core";
import {
  IconAlertTriangle, IconChevronDown, IconChevronUp, IconCircleCheck, IconPlayerPause, IconPlayerPlay, IconRefresh, IconUpload, IconX,
} from "@tabler/icons-react";
import { useEffect, useState } from "react";

import type { Study } from "../archive";
import { plural } from "../dicom";
import { ArrivedStudies } from "./ArrivedStudies";
import { DetailsForm } from "./DetailsForm";
import { DropTarget } from "./DropTarget";
import type { Intake } from "./intake";
import type { Snapshot } from "./queue";
import { UploadList } from "./UploadList";
import { bytes, timeLeft } from "./words";
import "./upload.css";

interface Props {
  intake: Intake;
  study?: Study;
  hasViewer: boolean;
}

const leftOf = ({ counts }: Snapshot): number => counts.waiting + counts.sending + counts.storing;

function headline(snapshot: Snapshot): string {
  const all = snapshot.items.length;
  const left = leftOf(snapshot);
  if (all === 0) return plural(snapshot.interrupted.length, "interrupted upload");
  if (left === 0) return snapshot.refused.length > 0 ? "Uploaded, with refusals" : "Uploaded";
  return `${snapshot.paused ? "Paused" : "Uploading"}: ${(all - left).toLocaleString()} of ${plural(all, "file")}`;
}

function details(snapshot: Snapshot): string {
  const { stored, duplicates, ignored, refused, sent, total, speed } = snapshot;
  const outcome = [
    stored && `${plural(stored, "object")} stored`,
    duplicates && `${duplicates.toLocaleString()} already there`,
    ignored && `${ignored.toLocaleString()} not DICOM`,
    refused.length && `${refused.length.toLocaleString()} refused`,
  ];
  if (leftOf(snapshot) === 0) return outcome.filter(Boolean).join(" · ");
  const isMoving = speed > 0 && !snapshot.paused;
  const progress = [`${bytes(sent)} of ${bytes(total)}`, isMoving && `${bytes(speed)}/s`, isMoving && sent < total && timeLeft((total - sent) / speed)];
  return [...progress, refused.length && `${refused.length.toLocaleString()} refused`].filter(Boolean).join(" · ");
}

function Controls({ intake, isOpen, toggle }: { intake: Intake; isOpen: boolean; toggle: () => void }) {
  const { queue, snapshot } = intake;
  const isBusy = leftOf(snapshot) > 0;
  return (
    <Group gap={4} wrap="nowrap">
      {isBusy && (
        <Tooltip label={snapshot.paused ? "Resume" : "Pause"}>
          <ActionIcon variant="subtle" onClick={() => (snapshot.paused ? queue.resume() : queue.pause())} aria-label={snapshot.paused ? "Resume uploads" : "Pause uploads"}>
            {snapshot.paused ? <IconPlayerPlay size={18} /> : <IconPlayerPause size={18} />}
          </ActionIcon>
        </Tooltip>
      )}
      {snapshot.counts.failed > 0 && (
        <Button size="compact-xs" variant="light" leftSection={<IconRefresh size={14} />} onClick={() => queue.retry()}>
          Try again
        </Button>
      )}
      <ActionIcon variant="subtle" onClick={toggle} aria-label={isOpen ? "Hide details" : "Show details"} aria-expanded={isOpen}>
        {isOpen ? <IconChevronDown size={18} /> : <IconChevronUp size={18} />}
      </ActionIcon>
      {snapshot.items.length > 0 && (
        <Tooltip label={isBusy ? "Cancel what has not arrived" : "Close"}>
          <ActionIcon variant="subtle" onClick={() => (isBusy ? queue.cancel() : queue.clear())} aria-label={isBusy ? "Cancel uploads" : "Close uploads"}>
            <IconX size={18} />
          </ActionIcon>
        </Tooltip>
      )}
    </Group>
  );
}

function Interrupted({ intake }: { intake: Intake }) {
  const { interrupted } = intake.snapshot;
  const names = interrupted.map((one) => one.metadata.filename);
  return (
    <Group gap="xs" wrap="wrap" className="interrupted">
      <IconAlertTriangle size={18} className="warning" />
      <Text size="sm" className="grow">
        Interrupted: {names.slice(0, 3).join(", ")}
        {names.length > 3 && ` and ${names.length - 3} more`}. Drop the same files or folder again: only what is missing is sent.
      </Text>
      <Button size="compact-xs" variant="subtle" onClick={() => void intake.queue.forgetInterrupted()}>
        Discard
      </Button>
    </Group>
  );
}

function Sign({ snapshot }: { snapshot: Snapshot }) {
  if (leftOf(snapshot) > 0) return <IconUpload size={20} className="accent" />;
  return snapshot.refused.length > 0 || snapshot.items.length === 0 ? (
    <IconAlertTriangle size={20} className="warning" />
  ) : (
    <IconCircleCheck size={20} className="good" />
  );
}

export function UploadPanel({ intake, study, hasViewer }: Props) {
  const { snapshot, question, queue } = intake;
  const [isOpen, setOpen] = useState(true);
  useEffect(() => void queue.open().catch(() => undefined), [queue]);
  const isShown = snapshot.items.length > 0 || snapshot.interrupted.length > 0 || intake.error !== "";
  return (
    <>
      <DropTarget take={intake.take} />
      {question && <DetailsForm question={question} study={study} onAnswer={intake.answer} />}
      {isShown && (
        <section className="uploads" aria-label="Uploads">
          <Group gap="sm" wrap="nowrap" className="uploads-head">
            <Sign snapshot={snapshot} />
            <div className="grow">
              <Group gap="sm" justify="space-between" wrap="wrap">
                <Text size="sm" fw={600} role="status">
                  {headline(snapshot)}
                </Text>
                <Text size="sm" c="dimmed" className="numbers">
                  {details(snapshot)}
                </Text>
              </Group>
              {leftOf(snapshot) > 0 && (
                <Progress value={snapshot.total ? (100 * snapshot.sent) / snapshot.total : 0} size="sm" mt={4} aria-label="All uploads" animated={!snapshot.paused} />
              )}
            </div>
            <Controls intake={intake} isOpen={isOpen} toggle={() => setOpen(!isOpen)} />
          </Group>
          {isOpen && (
            <Stack gap="xs" className="uploads-body">
              {intake.error && (
                <Text size="sm" c="red.4" role="alert">
                  {intake.error}
                </Text>
              )}
              {snapshot.interrupted.length > 0 && <Interrupted intake={intake} />}
              <ArrivedStudies uids={snapshot.studies} hasViewer={hasViewer} />
              <UploadList snapshot={snapshot} />
            </Stack>
          )}
        </section>
      )}
    </>
  );
}
