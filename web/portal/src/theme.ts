import { createTheme, type MantineColorsTuple } from "@mantine/core";

// Quiet greys for reading rooms: nothing on the page is brighter than the pictures.
const slate: MantineColorsTuple = [
  "#e9eef2", "#cfd9e0", "#a9bac6", "#8399a8", "#617888", "#485e6d", "#2c3c46", "#1a262d", "#121a20", "#0b1115",
];
const sky: MantineColorsTuple = [
  "#e3f6ff", "#c5eaff", "#92d7fb", "#5cc3f5", "#35b3ee", "#1ba8e9", "#0797d6", "#007fb8", "#00658f", "#004b6b",
];

export const theme = createTheme({
  primaryColor: "sky",
  primaryShade: { light: 7, dark: 5 },
  colors: { dark: slate, sky },
  defaultRadius: "md",
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif',
  cursorType: "pointer",
});
