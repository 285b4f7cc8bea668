// What a person needs to send images here.

import { Code, CopyButton, Group, Modal, Stack, Text, UnstyledButton } from "@mantine/core";

import type { Server } from "./archive";

interface Props {
  server: Server;
  opened: boolean;
  onClose: () => void;
}

function Command({ label, line }: { label: string; line: string }) {
  return (
    <div>
      <Text size="sm" c="dimmed">
        {label}
      </Text>
      <CopyButton value={line}>
        {({ copied, copy }) => (
          <UnstyledButton onClick={copy} w="100%" title="Copy">
            <Group justify="space-between" wrap="nowrap">
              <Code block className="grow">
                {line}
              </Code>
              <Text size="xs" c="dimmed">
                {copied ? "copied" : "copy"}
              </Text>
            </Group>
          </UnstyledButton>
        )}
      </CopyButton>
    </div>
  );
}

export function ConnectDialog({ server, opened, onClose }: Props) {
  const host = location.hostname;
  return (
    <Modal opened={opened} onClose={onClose} title="Connect" size="lg">
      <Stack>
        <Text>
          Modalities: AE title <b>{server.ae_title}</b>, host <b>{host}</b>, port <b>{server.dimse_port}</b>.
        </Text>
        <Command label="Send a folder with DCMTK" line={`storescu -aec ${server.ae_title} ${host} ${server.dimse_port} +sd +r folder`} />
        <Command label="Take in files on the server" line="pacs import folder" />
        <Command label="DICOMweb" line={`${location.origin}/dicomweb`} />
      </Stack>
    </Modal>
  );
}
