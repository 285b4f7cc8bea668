// Tag -> keyword of the data dictionary, fetched when somebody first looks at attributes.

import { useQuery } from "@tanstack/react-query";

const NONE: Record<string, string> = {};

export function useKeywords(): Record<string, string> {
  const found = useQuery({
    queryKey: ["keywords"],
    queryFn: async () => (await fetch("/api/keywords")).json() as Promise<Record<string, string>>,
    staleTime: Number.POSITIVE_INFINITY,
  });
  return found.data ?? NONE;
}
