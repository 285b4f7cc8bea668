// While somebody looks at the list, the browser fetches what every study that is opened begins with: 3 MB of the viewer.

import { useEffect } from "react";

const KEPT_PROGRAM = /<script\b[^>]*\ssrc="(\/[^"]+\.[0-9a-f]{16}\.js)"/g;
const PAUSE_MS = 1000;

const savesData = () => (navigator as { connection?: { saveData?: boolean } }).connection?.saveData === true;

async function fetchAhead(signal: AbortSignal) {
  const page = await fetch("/viewer/", { signal });
  const addresses = [...(await page.text()).matchAll(KEPT_PROGRAM)].map((found) => found[1] ?? "");
  for (const address of page.ok ? addresses : []) {
    const link = document.createElement("link");
    link.rel = "prefetch";
    link.as = "script";
    link.href = address;
    document.head.append(link);
  }
}

// `isReady`: the list itself is there, which nothing may hold up.
export function useFetchAhead(isReady: boolean) {
  useEffect(() => {
    if (!isReady || savesData()) return;
    const ended = new AbortController();
    // Whoever cannot fetch ahead loads it later.
    const timer = setTimeout(() => fetchAhead(ended.signal).catch(() => undefined), PAUSE_MS);
    return () => {
      clearTimeout(timer);
      ended.abort();
    };
  }, [isReady]);
}
