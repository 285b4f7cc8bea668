import "@mantine/core/styles.css";
import "@mantine/dates/styles.css";
import "./portal.css";

import { MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { Portal } from "./Portal";
import { theme } from "./theme";

const queries = new QueryClient({ defaultOptions: { queries: { retry: 1, staleTime: 30_000 } } });

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <MantineProvider theme={theme} defaultColorScheme="dark">
      <QueryClientProvider client={queries}>
        <Portal />
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
