// What stands in the place of the list while there is none: it is coming, it is empty, or it cannot be had.

import { Alert, Button, Center, Group, Skeleton, Stack, Text, Title } from "@mantine/core";
import { IconAlertTriangle, IconRefresh } from "@tabler/icons-react";

export function Coming() {
  return (
    <div aria-busy="true" aria-label="Loading studies">
      {Array.from({ length: 12 }, (_, row) => (
        <Group key={row} wrap="nowrap" px="md" py={9} gap="lg" className="coming">
          <Skeleton width={18} height={18} radius="sm" style={{ flex: "none" }} />
          <div className="grow">
            <Skeleton height={13} width={`${60 + ((row * 17) % 35)}%`} mb={6} />
            <Skeleton height={10} width="35%" />
          </div>
          <Skeleton height={13} className="grow" />
          <Skeleton height={18} width={36} style={{ flex: "none" }} />
          <Skeleton height={13} className="grow wide" />
        </Group>
      ))}
    </div>
  );
}

interface FailedProps {
  reason: string;
  isTrying: boolean;
  /** An older list is still shown. */
  isStale: boolean;
  onRetry: () => void;
}

export function Failed({ reason, isTrying, isStale, onRetry }: FailedProps) {
  return (
    <Alert color="red" icon={<IconAlertTriangle />} title="The list cannot be shown" m="md" role="alert">
      <Group justify="space-between">
        <Text size="sm">
          {reason} {isStale && "What is below may have changed since."}
        </Text>
        <Button size="xs" variant="default" leftSection={<IconRefresh size={16} />} loading={isTrying} onClick={onRetry}>
          Try again
        </Button>
      </Group>
    </Alert>
  );
}

export function NoMatch({ onClear }: { onClear: () => void }) {
  return (
    <Center className="grow">
      <Stack align="center" gap="xs" p="md">
        <Text c="dimmed">No study matches.</Text>
        <Button variant="default" size="xs" onClick={onClear}>
          Clear the filters
        </Button>
      </Stack>
    </Center>
  );
}

export function Nothing({ onConnect }: { onConnect: () => void }) {
  return (
    <Center className="grow">
      <Stack align="center" gap="xs" p="md">
        <Title order={2} size="h4">
          The archive is empty
        </Title>
        <Text c="dimmed" ta="center">
          Drop files or folders here, or send images from a modality.
        </Text>
        <Button onClick={onConnect}>How to connect</Button>
      </Stack>
    </Center>
  );
}
