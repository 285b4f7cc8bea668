// The whole page takes files that are dropped on it.

import { Stack, Text } from "@mantine/core";
import { IconUpload } from "@tabler/icons-react";
import { useEffect, useState } from "react";

import { entriesOf, filesBelow } from "./collect";
import type { Intake } from "./intake";

const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;

export function DropTarget({ take }: Pick<Intake, "take">) {
  const [isOver, setOver] = useState(false);
  useEffect(() => {
    const over = (event: DragEvent) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(true);
    };
    const leave = (event: DragEvent) => {
      // Leaving one element for another names the other one; leaving the window names none.
      if (event.relatedTarget === null) setOver(false);
    };
    const drop = (event: DragEvent) => {
      if (!hasFiles(event) || !event.dataTransfer) return;
      event.preventDefault();
      setOver(false);
      void take(filesBelow(entriesOf(event.dataTransfer)));
    };
    const listeners = { dragenter: over, dragover: over, dragleave: leave, drop } as const;
    for (const [name, listener] of Object.entries(listeners)) window.addEventListener(name, listener as EventListener);
    return () => {
      for (const [name, listener] of Object.entries(listeners)) window.removeEventListener(name, listener as EventListener);
    };
  }, [take]);
  if (!isOver) return null;
  return (
    <div className="drop">
      <Stack align="center" gap={4} className="drop-words">
        <IconUpload size={40} stroke={1.5} />
        <Text size="lg" fw={600}>
          Drop to upload
        </Text>
        <Text size="sm" c="dimmed">
          DICOM files, folders, zip files, PDF, pictures, video
        </Text>
      </Stack>
    </div>
  );
}
