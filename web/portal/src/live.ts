// News from the archive by server-sent events: what changed is asked for again, nothing is asked for in between.

import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";

export type Connection = "waiting" | "live" | "lost";

const RETRY_MILLISECONDS = 2000;

/** Keeps every list on the page fresh; tells whether news arrive. */
export function useNews(): Connection {
  const queries = useQueryClient();
  const [connection, setConnection] = useState<Connection>("waiting");
  useEffect(() => {
    let source: EventSource;
    let timer: ReturnType<typeof setTimeout>;
    let seen: string | null = null;
    let isOver = false;
    const hear = ({ data }: MessageEvent<string>) => {
      setConnection("live");
      if (seen !== null && seen !== data) void queries.invalidateQueries();
      seen = data;
    };
    const open = () => {
      source = new EventSource("/api/changes");
      source.addEventListener("ready", hear);
      source.addEventListener("changed", hear);
      source.onerror = () => {
        setConnection("lost");
        if (source.readyState === EventSource.CLOSED) void reopen();
      };
    };
    // A stream that was refused is not tried again by the browser. A request tells why: when the session is lost it
    // waits, like all others, until somebody has signed in again.
    const reopen = async () => {
      await fetch("/server.json", { cache: "no-store" }).catch(() => null);
      if (!isOver) timer = setTimeout(open, RETRY_MILLISECONDS);
    };
    open();
    return () => {
      isOver = true;
      clearTimeout(timer);
      source.close();
    };
  }, [queries]);
  return connection;
}
