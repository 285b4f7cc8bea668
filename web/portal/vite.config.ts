import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The server serves the result below /ui/ and its page at /.
export default defineConfig({
  base: "/ui/",
  plugins: [react()],
  build: { outDir: "../../pacs/portal/dist", emptyOutDir: true, target: "es2022" },
  server: {
    proxy: Object.fromEntries(["/dicomweb", "/api", "/server.json", "/login", "/sign-in"].map((path) => [path, "http://127.0.0.1:8042"])),
  },
});
