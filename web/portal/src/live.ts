// News from the archive by server-sent events: what changed is asked for again, nothing is asked for in between.

import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";

export type Connection = "waiting" | "live" | "lost";

/** Keeps every list on the page fresh; tells whether news arrive. */
export function useNews(): Connection {
  const queries = useQueryClient();
  const [connection, setConnection] = useState<Connection>("waiting");
  useEffect(() => {
    const source = new EventSource("/api/changes");
    source.onopen = () => setConnection("live");
    source.onerror = () => setConnection("lost");
    source.addEventListener("changed", () => void queries.invalidateQueries());
    return () => source.close();
  }, [queries]);
  return connection;
}
