// The head of the page: how many studies there are, whether news arrive, and what can be done besides reading.

import { ActionIcon, Badge, Button, Group, Text, Title, Tooltip, useMantineColorScheme } from "@mantine/core";
import { IconKeyboard, IconMoon, IconPlugConnected, IconSun } from "@tabler/icons-react";
import type { ReactNode } from "react";

import type { Connection } from "./live";
import { Account } from "./signin/Account";

interface Props {
  told: string;
  connection: Connection;
  upload: ReactNode;
  onConnect: () => void;
  onKeys: () => void;
}

export function PageHeader({ told, connection, upload, onConnect, onKeys }: Props) {
  const { colorScheme, toggleColorScheme } = useMantineColorScheme();
  const isLive = connection === "live";
  return (
    <Group component="header" className="header" wrap="nowrap">
      <img src="/icon.svg" alt="" width={26} height={26} />
      <Title order={1} size="h5" className="title">
        Open PACS
      </Title>
      <Text size="sm" c="dimmed" role="status" className="grow" truncate>
        {told}
      </Text>
      <Tooltip label={isLive ? "New studies appear by themselves" : "Waiting for the server"}>
        <Badge variant="dot" color={isLive ? "teal" : "yellow"} className="wide">
          {isLive ? "live" : "reconnecting"}
        </Badge>
      </Tooltip>
      {upload}
      <Button variant="default" size="xs" className="wide" leftSection={<IconPlugConnected size={16} />} onClick={onConnect}>
        Connect
      </Button>
      <Tooltip label="Keys (?)">
        <ActionIcon variant="subtle" className="wide" onClick={onKeys} aria-label="Keys">
          <IconKeyboard size={18} />
        </ActionIcon>
      </Tooltip>
      <ActionIcon variant="subtle" onClick={toggleColorScheme} aria-label="Light or dark">
        {colorScheme === "dark" ? <IconSun size={18} /> : <IconMoon size={18} />}
      </ActionIcon>
      <Account />
    </Group>
  );
}
