// Who is signed in, and the way out. Nothing where nobody has to sign in.

import { Button, Menu } from "@mantine/core";
import { IconLogout, IconUser } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";

import type { components } from "../api";

type Session = components["schemas"]["Session"];

const SESSION = "/api/session";

const session = async (): Promise<Session> => (await fetch(SESSION)).json() as Promise<Session>;

const signOut = async () => {
  await fetch(SESSION, { method: "DELETE" });
  location.assign("/login");
};

export function Account() {
  const found = useQuery({ queryKey: ["session"], queryFn: session, staleTime: Number.POSITIVE_INFINITY });
  if (found.data?.sign_in !== "required" || !found.data.user) return null;
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button variant="subtle" size="xs" color="gray" leftSection={<IconUser size={16} />} aria-label={`Account ${found.data.user}`}>
          {found.data.user}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item leftSection={<IconLogout size={16} />} onClick={() => void signOut()}>
          Sign out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
