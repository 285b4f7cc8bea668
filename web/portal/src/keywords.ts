// Tag -> keyword of the data dictionary, fetched when somebody first looks at attributes.

import { useQuery } from "@tanstack/react-query";

import type { components } from "./api";

type Keywords = components["schemas"]["Keywords"];

const NONE: Keywords = {};

export function useKeywords(): Keywords {
  const found = useQuery({
    queryKey: ["keywords"],
    queryFn: async () => (await fetch("/api/keywords")).json() as Promise<Keywords>,
    staleTime: Number.POSITIVE_INFINITY,
  });
  return found.data ?? NONE;
}
